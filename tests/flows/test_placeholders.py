"""Nights in which a photo becomes a placeholder, and in which it ceases to be one."""

from pathlib import Path

import pytest

from catalog_schemas.rejection import Reason
from flows.start import start_run
from tasks.plan import make_plan
from tasks.planning.rows import Selection
from tests.drawn_products import draw_photo
from tests.flows.shop import Shop, assert_sound

QUICK = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}
PLACEHOLDER = Reason.REFERENCE_PLACEHOLDER


def add(shop: Shop, number: int) -> None:
    shop.add(f"sku-{number}", number, photos=1, masks=[])
    draw_photo(99)[0].save(shop.folder / f"photos-{number}" / "none.png")
    shop.rows[-1]["references"].append(f"photos-{number}/none.png")


def refused(shop: Shop) -> list[str]:
    return [row["sku"] for row in shop.table("rejections") if row["reason"] == PLACEHOLDER]


@pytest.fixture
def shop_of_two(tmp_path: Path, model: Path, prefect: str) -> Shop:
    """Two products that list a photo which three must list to be nobody's, after a night."""
    shop = Shop(tmp_path / "shop", model)
    shop.changes = QUICK | {"catalog": {"placeholder_products": 3}}
    add(shop, 0)
    add(shop, 1)
    assert shop.run().record.skus_published == 2
    assert not refused(shop)
    return shop


def test_the_product_that_is_one_too_many_makes_all_of_them_anew(shop_of_two: Shop) -> None:
    shop = shop_of_two
    before = {row["image_id"] for row in shop.live()}
    add(shop, 2)
    assert {job.product.sku: len(job.photos) for job in shop.plan().jobs} == {"sku-0": 1, "sku-1": 1, "sku-2": 1}
    run = shop.run().record
    assert (run.skus_input, run.skus_published, run.images_skipped) == (3, 3, 0)
    assert sorted(refused(shop)) == ["sku-0", "sku-1", "sku-2"]
    assert before.isdisjoint(row["image_id"] for row in shop.live())
    assert not shop.plan().jobs

    request = make_plan(start_run(shop.parameters()), Selection(skus=("sku-1",)))
    assert [(one.sku, one.reason) for one in request.rejections] == [("sku-1", PLACEHOLDER)]
    assert not request.jobs

    shop.rows.pop()
    run = shop.run().record
    assert (run.skus_input, run.skus_published) == (2, 2)
    assert {row["image_id"] for row in shop.live()} == before
    assert not shop.plan().jobs
    assert_sound(shop)


def test_a_night_without_news_reads_and_writes_nothing_about_photos(shop_of_two: Shop) -> None:
    version = shop_of_two.tables.version("photos")
    assert shop_of_two.run().record.skus_skipped == 2
    assert shop_of_two.tables.version("photos") == version
