"""One Prefect server, one tiny model and one finished shop for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from tests.flows.shop import Shop
from tests.models.tiny import build_tiny_sd

torch.set_num_threads(1)  # the model is so small that threads only wait for each other; and equal bytes need one


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all of them, so that one server and one model serve."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("flows"))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sd(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def prefect() -> Iterator[str]:
    """The API's URL; processes that are started find it in their environment."""
    with prefect_test_harness(server_startup_timeout=120):
        url = PREFECT_API_URL.value()
        assert url
        os.environ["PREFECT_API_URL"] = url
        yield url
        del os.environ["PREFECT_API_URL"]


@pytest.fixture
def shop(tmp_path: Path, model: Path, prefect: str) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop", model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """Three products, run once, never touched again: tests work on copies."""
    shop = Shop(tmp_path_factory.mktemp("finished"), model)
    for number, sku in enumerate(("mug-1", "vase-2", "lamp 3/ü")):
        shop.add(sku, number)
    shop.run()
    return shop


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """One product with a damaged photo, run once: for stores where every request costs time."""
    shop = Shop(tmp_path_factory.mktemp("small"), model)
    shop.add("mug-1", 0)
    shop.changes = {"variants": {"limit_per_sku": 4}}
    cut = shop.folder / "photos-0" / "1.png"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    shop.run()
    return shop


@pytest.fixture
def open_shop(finished: Shop, tmp_path: Path) -> Shop:
    """A copy of the finished shop, to be changed."""
    return finished.copy(tmp_path / "shop")
