"""The picture that a shop shows where it has none is nobody's photo, however it is listed."""

import random
import shutil

import pytest

from catalog_schemas.rejection import Reason
from tasks.plan import make_plan
from tasks.planning.rows import Selection
from tests.bad_input.night import Night
from tests.drawn_products import draw_photo, write_catalog, write_photos

PLACEHOLDER = ("plan", Reason.REFERENCE_PLACEHOLDER)


def add(night: Night, number: int, **fields: object) -> str:
    """A product with a photo of its own and, last, a copy of the shop's placeholder."""
    sku, folder = f"sku-{number}", night.folder / f"photos-{number}"
    own = write_photos(folder, number, count=1, masks=False, alpha=True)["references"]
    if not (night.folder / "none.png").exists():
        draw_photo(99)[0].save(night.folder / "none.png")
    shutil.copy(night.folder / "none.png", folder / "none.png")
    night.add(sku, references=[*own, f"photos-{number}/none.png"], **fields)
    return sku


def test_a_photo_of_ten_products_is_refused_everywhere_and_costs_a_product_only_where_it_has_no_other(
    night: Night, unharmed
) -> None:
    skus = [add(night, number) for number in range(4, 13)]
    night.add("only", references=["none.png"])
    random.Random(0).shuffle(night.rows)
    judged = night.judge()
    for sku in skus:
        assert judged.verdicts(sku) == [PLACEHOLDER]
        assert "10 different products" in judged.details(sku)
        assert len(judged.fate(sku).prepared) == 1
    assert judged.verdicts("only") == [PLACEHOLDER, ("plan", Reason.SKU_NO_USABLE_REFERENCES)]
    unharmed(judged)


def test_the_order_of_rows_decides_nothing(night: Night) -> None:
    skus = [add(night, number) for number in range(3, 14)]
    fates = []
    for seed in range(3):
        random.Random(seed).shuffle(night.rows)
        judged = night.judge()
        fates.append({sku: judged.fate(sku) for sku in skus})
        assert len(judged.rejections) == 11
    assert fates[0] == fates[1] == fates[2]


@pytest.mark.parametrize(
    ("products", "fields", "setting"),
    [
        (9, {}, {}),
        (12, {"title": "The mug"}, {}),
        (12, {"attributes": {"item_group_id": "g1"}}, {}),
        (12, {"attributes": {"handle": "tee"}}, {}),
        (12, {}, {"placeholder_products": 0}),
        (12, {}, {"placeholder_products": 13}),
    ],
)
def test_a_photo_of_fewer_products_or_of_one_products_variants_is_a_photo(
    night: Night, products: int, fields: dict, setting: dict
) -> None:
    night.catalog = setting
    for number in range(3, 3 + products):
        add(night, number, **fields)
    assert not night.judge().rejections


def test_a_request_for_one_product_knows_it_before_any_night_has_been(night: Night) -> None:
    for number in range(10):
        night.add(f"sku-{number}", references=["photos-bad/0.png", "none.png"])
    draw_photo(99)[0].save(night.folder / "none.png")
    write_catalog(night.folder / "catalog.parquet", night.rows)
    plan = make_plan(night.context(), Selection(skus=("sku-7",)))
    reasons = [Reason.REFERENCE_PLACEHOLDER] * 2 + [Reason.SKU_NO_USABLE_REFERENCES]
    assert [(one.sku, one.reason) for one in plan.rejections] == [("sku-7", reason) for reason in reasons]
    assert not plan.photos, "a request is not the night, and leaves no notes for it"


def test_photos_with_masks_are_counted_before_any_night_has_been_as_well(night: Night) -> None:
    for number in range(10):
        own = write_photos(night.folder / f"photos-{number}", number, count=1)["references"]
        masks = ["photos-bad/0-mask.png", "photos-bad/1-mask.png"]
        night.add(f"sku-{number}", references=[*own, "none.png"], masks=masks)
    draw_photo(99)[0].save(night.folder / "none.png")
    write_catalog(night.folder / "catalog.parquet", night.rows)
    plan = make_plan(night.context(), Selection(skus=("sku-7",)))
    assert [(one.sku, one.reason) for one in plan.rejections] == [("sku-7", Reason.REFERENCE_PLACEHOLDER)]
    assert [len(job.photos) for job in plan.jobs] == [1]
