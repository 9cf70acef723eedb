"""One finished night without anything bad, that the neighbours' fates are compared with."""

from pathlib import Path

import pytest

from tests.bad_input.night import Fate, Judged, Night


@pytest.fixture
def night(tmp_path: Path) -> Night:
    """A shop in a folder of its own; the store lies beside it."""
    (tmp_path / "shop").mkdir()
    return Night(tmp_path / "shop")


@pytest.fixture(scope="session")
def fates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fate]:
    folder = tmp_path_factory.mktemp("clean") / "shop"
    folder.mkdir()
    judged = Night(folder).judge()
    assert not judged.rejections
    return {sku: judged.fate(sku) for sku in ("good-1", "good-2")}


@pytest.fixture
def unharmed(fates: dict[str, Fate]):
    """Asserts that the neighbours are planned and prepared exactly as they are alone."""

    def check(judged: Judged) -> None:
        for sku, fate in fates.items():
            assert judged.fate(sku) == fate
            assert not [one for one in judged.rejections if one.sku == sku and one.subject != "row 2"]

    return check
