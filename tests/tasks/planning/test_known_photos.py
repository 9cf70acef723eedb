"""What the next run is told of the photos that a catalog lists."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.errors import Rejected
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason
from configs.schema import RunConfig
from tasks.planning.known_photos import KnownPhotos, without_placeholders
from tasks.planning.photos import Listed
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.storage.sources import Seen
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.configs_tiny import tiny_config

MUG = Product("mug", "Mug", "mug", ("0.png", "1.png"))
PHOTOS = [Photo(uri, "", f"id of {uri}", f"content of {uri}") for uri in MUG.references]


CUP = Product("cup", "Cup", "cup", ("0.png",))
AWAY = Rejected(Reason.REFERENCE_UNREACHABLE, "away")


def _known(store: Path, catalog: str = "catalog") -> KnownPhotos:
    config = RunConfig.model_validate(tiny_config(Path("model"), catalog={"placeholder_products": 2}))
    context = RunContext("run", catalog, str(store), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    return KnownPhotos(context, Tables(context.open()))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One that knows both photos."""
    news = _known(tmp_path).news([Listed(MUG, PHOTOS)], [])
    assert [(one.uri, one.content) for one in news] == [(one.uri, one.content) for one in PHOTOS]
    _known(tmp_path).tables.merge("photos", rows_of("photos", news), "run")
    return tmp_path


@pytest.mark.parametrize(
    ("reason", "told"), [(Reason.REFERENCE_UNREACHABLE, []), (Reason.REFERENCE_MISSING, [("1.png", "")])]
)
def test_a_photo_that_cannot_be_had_just_now_is_still_listed(
    store: Path, reason: Reason, told: list[tuple[str, str]]
) -> None:
    news = _known(store).news([Listed(MUG, PHOTOS[:1], [("1.png", Rejected(reason, "away"))])], [])
    assert [(one.uri, one.content) for one in news] == told


def test_nothing_is_told_twice_and_what_is_gone_lists_no_photo(store: Path) -> None:
    assert _known(store).news([Listed(MUG, PHOTOS)], []) == []
    assert [(one.uri, one.content) for one in _known(store).news([], ["mug"])] == [("0.png", ""), ("1.png", "")]


def test_a_photo_that_has_become_another_is_told(store: Path) -> None:
    news = _known(store).news([Listed(MUG, [replace(PHOTOS[0], content="another"), PHOTOS[1]])], [])
    assert [(one.uri, one.content) for one in news] == [("0.png", "another")]


def test_a_photo_counts_for_each_product_of_the_catalog_that_lists_it_whether_it_can_be_had_just_now_or_not(
    store: Path,
) -> None:
    cup, common = Listed(CUP, PHOTOS[:1]), {PHOTOS[0].content: 2}
    assert _known(store).placeholders([cup], []) == common
    assert _known(store).placeholders([cup, Listed(MUG, PHOTOS[1:], [("0.png", AWAY)])], []) == common
    assert _known(store).placeholders([cup, Listed(MUG, PHOTOS[1:])], []) == {}, "it lists it no more"
    assert _known(store).placeholders([cup], ["mug"]) == {}
    assert _known(store, "another").placeholders([cup], []) == {}
    assert _known(store).placeholders([replace(cup, product=replace(CUP, title=" MUG "))], []) == {}, "of the same name"


def test_of_a_product_that_loses_a_placeholder_it_is_still_known_which_photos_it_awaits() -> None:
    left = without_placeholders(Listed(MUG, PHOTOS, [("2.png", AWAY)]), {PHOTOS[0].content: 10})
    assert left.photos == PHOTOS[1:]
    assert [verdict.reason for _, verdict in left.faults] == [AWAY.reason, Reason.REFERENCE_PLACEHOLDER]


def test_photos_and_masks_on_the_web_are_known_by_their_stamps_while_they_are_listed(tmp_path: Path) -> None:
    at_home = replace(PHOTOS[0], mask_uri="0-mask.png", mask_content="mask")
    away = replace(PHOTOS[1], stamp="1", mask_uri="1-mask.png", mask_content="mask", mask_stamp="2")
    listed, gone = [Listed(MUG, [at_home, away])], ["mug"]
    for number, (told, seen) in enumerate(
        [((listed, []), {"1.png": Seen("1", away.content), "1-mask.png": Seen("2", "mask")}), (([], gone), {})]
    ):
        news = _known(tmp_path).news(*told)
        assert [one.uri for one in news] == ["0.png", "1.png", "1-mask.png"]
        _known(tmp_path).tables.merge("photos", rows_of("photos", news), f"run-{number}", ("content",))
        assert _known(tmp_path).seen() == seen
