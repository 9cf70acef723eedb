"""One Prefect server, one tiny model and one finished shop for the whole session."""

import os
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from prefect.context import refresh_global_settings_context

from flows.servers.own_server import begin_server
from tasks.engine import rendering
from tasks.engine.rendering import RenderRequest
from tests.flows.shop import Shop
from tests.models.tiny import build_tiny_controlnet, build_tiny_sd
from tests.servers.prefect_home import PrefectHome

torch.set_num_threads(1)  # the model is so small that threads only wait for each other; and equal bytes need one

PROCESSES = {
    "test_command.py",
    "test_interrupted.py",
    "test_kill.py",
    "test_prefect_server.py",
    "test_processes.py",
    "test_serve.py",
    "test_stores.py",
}  # half of the time, most of it in processes of their own


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Three workers run all of them, so that three servers and three models serve."""
    for item in items:
        path = Path(item.path)
        if path.is_relative_to(Path(__file__).parent):
            group = "flows, in processes" if path.name in PROCESSES else "flows"
            group = "ray" if path.name == "test_ray.py" else group
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sd(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def controlnet(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """That model's, loaded once for all tests as it is."""
    return build_tiny_controlnet(tmp_path_factory.mktemp("controlnet") / "tiny", model)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory, prefect_home: PrefectHome) -> Iterator[str]:
    """The API's URL; processes that are started find it in their environment."""
    home = prefect_home(tmp_path_factory.mktemp("prefect"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(home))
        patch.setenv("PREFECT_API_URL", "")
        for service in ("EVENT_PERSISTER", "TRIGGERS"):  # nobody looks at events, half of what it writes
            patch.setenv(f"PREFECT_SERVER_SERVICES_{service}_ENABLED", "false")
        refresh_global_settings_context()
        begin_server()()
        yield os.environ["PREFECT_API_URL"]


@pytest.fixture
def shop(tmp_path: Path, model: Path, prefect: str) -> Shop:
    """An empty shop."""
    return Shop(tmp_path / "shop", model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """Three products in several chunks, run once, never touched again: tests work on copies."""
    shop = Shop(tmp_path_factory.mktemp("finished"), model, changes={"compute": {"chunk_size": 4}})
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


@pytest.fixture
def drawn() -> Iterator[list[RenderRequest]]:
    """All that the model has been asked for."""
    asked, draw_batch = list[RenderRequest](), rendering.draw_batch

    def noted(base, bank, readers, requests, settings, texts):
        asked.extend(requests)
        return draw_batch(base, bank, readers, requests, settings, texts)

    with patch.object(rendering, "draw_batch", noted):
        yield asked
