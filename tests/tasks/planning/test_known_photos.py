"""What the next run is told of the photos that a catalog lists."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.errors import Rejected
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason
from configs.schema import RunConfig
from tasks.context import RunContext
from tasks.models import ModelFolder
from tasks.planning.known_photos import KnownPhotos
from tasks.planning.photos import Listed
from tasks.storage.tables import Tables, rows_of
from tests.configs_tiny import tiny_config

MUG = Product("mug", "Mug", "mug", ("0.png", "1.png"))
PHOTOS = [Photo(uri, "", f"id of {uri}", f"content of {uri}") for uri in MUG.references]


def _known(store: Path) -> KnownPhotos:
    config = RunConfig.model_validate(tiny_config(Path("model")))
    context = RunContext("run", "catalog", str(store), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
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
