"""A product's photos are found and judged one by one."""

from pathlib import Path

import pytest

from catalog_schemas.errors import Rejected
from catalog_schemas.product import Product
from catalog_schemas.rejection import Reason
from configs.schema import CatalogConfig
from tasks.planning.photos import Listed, list_photos
from tasks.storage.sources import Sources
from tests.drawn_products import write_photos


@pytest.fixture
def listed(tmp_path: Path) -> dict[str, list[str]]:
    return write_photos(tmp_path / "mug", 0)


def _list(tmp_path: Path, references: list[str], masks: list[str] = [], segmenter: str = ""):  # noqa: B006
    config = CatalogConfig()
    item = Product("mug-1", "Mug", "mug", tuple(references), tuple(masks))
    listed = list_photos(item, Sources(str(tmp_path / "catalog.parquet"), config), config, segmenter)
    return listed.photos, listed.faults


def test_one_forbidden_photo_costs_itself_alone(tmp_path, listed) -> None:
    photos, faults = _list(tmp_path, [*listed["references"][:2], "/etc/passwd", "../../outside.png"])
    assert [Path(photo.uri).name for photo in photos] == ["0.png", "1.png"]
    assert [(uri, verdict.reason) for uri, verdict in faults] == [
        ("/etc/passwd", Reason.REFERENCE_FORBIDDEN),
        ("../../outside.png", Reason.REFERENCE_FORBIDDEN),
    ]


def test_one_forbidden_mask_costs_its_photo_alone_and_the_others_keep_theirs(tmp_path, listed) -> None:
    masks = [f"mug/../{listed['masks'][0]}", "/etc/passwd", listed["masks"][2]]
    photos, faults = _list(tmp_path, listed["references"], masks)
    folder = tmp_path.resolve() / "mug"
    assert [(Path(photo.uri), photo.mask_uri) for photo in photos] == [
        (folder / "0.png", f"{folder}/0-mask.png"),
        (folder / "2.png", f"{folder}/2-mask.png"),
    ]
    assert [verdict.reason for _, verdict in faults] == [Reason.REFERENCE_FORBIDDEN]


def test_a_forbidden_photo_does_not_shift_the_masks_of_those_after_it(tmp_path, listed) -> None:
    references = ["/etc/passwd", *listed["references"][1:]]
    photos, _ = _list(tmp_path, references, listed["masks"])
    assert [(Path(photo.uri).name, Path(photo.mask_uri).name) for photo in photos] == [
        ("1.png", "1-mask.png"),
        ("2.png", "2-mask.png"),
    ]


def test_a_blank_mask_means_none_for_that_photo(tmp_path, listed) -> None:
    photos, faults = _list(tmp_path, listed["references"], ["", listed["masks"][1], ""])
    assert [bool(photo.mask_uri) for photo in photos] == [False, True, False]
    assert not faults


def test_blank_masks_alone_are_none(tmp_path, listed) -> None:
    photos, faults = _list(tmp_path, listed["references"], ["", ""])
    assert (len(photos), faults) == (3, [])


def test_masks_that_do_not_pair_refuse_the_product(tmp_path, listed) -> None:
    with pytest.raises(Rejected) as caught:
        _list(tmp_path, listed["references"], listed["masks"][:2])
    assert caught.value.reason == Reason.ROW_FIELD_INVALID
    assert "SKU mug-1: 3 photos but 2 masks" in caught.value.detail


def test_a_photo_is_what_its_bytes_are_wherever_it_lies(tmp_path, listed) -> None:
    copy = tmp_path / "mug" / "copy.png"
    copy.write_bytes((tmp_path / "mug" / "0.png").read_bytes())
    photos, faults = _list(tmp_path, [*listed["references"], "mug/copy.png"])
    assert len(photos) == 3
    assert [verdict.reason for _, verdict in faults] == [Reason.REFERENCE_DUPLICATE]
    assert faults[0][1].detail.startswith(f"{copy.resolve()} has the same bytes as {tmp_path.resolve()}/mug/0.png")
    alone, _ = _list(tmp_path, ["mug/copy.png"])
    assert alone[0].id == photos[0].id


def test_a_mask_is_part_of_the_identity(tmp_path, listed) -> None:
    plain, _ = _list(tmp_path, listed["references"])
    masked, _ = _list(tmp_path, listed["references"], listed["masks"])
    assert {photo.id for photo in plain}.isdisjoint(photo.id for photo in masked)


def test_a_product_awaits_photos_of_which_one_may_be_had_on_another_night() -> None:
    away, gone = (Rejected(reason, "") for reason in (Reason.REFERENCE_UNREACHABLE, Reason.REFERENCE_MISSING))
    for faults, awaits in (([], False), ([gone], False), ([gone, away], True), ([away], True)):
        listed = Listed(Product("mug-1", "Mug", "mug", ()), [], [("a.jpg", verdict) for verdict in faults])
        assert listed.awaits_photos == awaits


def test_an_empty_folder_holds_no_photo(tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Rejected) as caught:
        _list(tmp_path, ["empty"])
    assert caught.value.reason == Reason.ROW_NO_REFERENCES


def test_the_network_that_cuts_out_a_photo_is_part_of_what_it_is_unless_it_has_a_mask(tmp_path, listed) -> None:
    masks = ["", listed["masks"][1], ""]
    ids = [
        [photo.id for photo in _list(tmp_path, listed["references"], masks, network)[0]]
        for network in ("", "one", "another")
    ]
    assert [len(set(of_photo)) for of_photo in zip(*ids, strict=True)] == [3, 1, 3]
    assert ids[0][0] == _list(tmp_path, listed["references"][:1])[0][0].content
