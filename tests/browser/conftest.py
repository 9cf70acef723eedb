"""One server for the whole session, and one browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.served import BERLIN, NIGHT, Served
from tests.browser.shop import write_catalog
from tests.configs_tiny import write_tiny_config
from tests.models.tiny import build_tiny_sd
from tests.servers.prefect_home import PrefectHome

playwright = pytest.importorskip("playwright.sync_api", reason="the browser test needs: pip install playwright")
SCENES = ("wooden-table", "kitchen-counter", "garden-grass")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs all of them, so that one server and one browser serve."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where the browser is. A machine without one skips these tests and says so; CI fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    missing = "no Chromium on the path: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(f"NOT TESTED IN A BROWSER: {missing}")


@pytest.fixture(scope="session")
def served(chromium: str, tmp_path_factory: pytest.TempPathFactory, prefect_home: PrefectHome) -> Iterator[Served]:
    """`packshot serve` on three products and the tiny model."""
    folder = tmp_path_factory.mktemp("served")
    config = write_tiny_config(
        folder / "tiny.yaml",
        build_tiny_sd(folder / "model"),
        variants={"scenes": list(SCENES), "techniques": ["composite"], "colours": ["original"]},
        library=["library"],
    )
    (folder / "library" / "scenes").mkdir(parents=True)
    (folder / "library" / "scenes" / "own.yaml").write_text(
        "our-window: {title: Ours, group: outdoor, prompt: in a shop window, empty_prompt: an empty shop window}\n"
    )
    catalog = write_catalog(folder / "catalog")
    schedule = ("--cron", f"30 {NIGHT} * * *", "--timezone", BERLIN.key)
    started = Served.start(catalog, folder / "store", str(config), prefect_home(folder / "home"), *schedule)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser(chromium: str) -> "Iterator[playwright.Browser]":
    """One for all tests."""
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def window(browser: "playwright.Browser") -> "Iterator[playwright.BrowserContext]":
    """One for all tests: what it has loaded it need not load and compile again."""
    opened = browser.new_context(viewport={"width": 1280, "height": 1000}, reduced_motion="reduce")
    opened.set_default_timeout(30_000)
    playwright.expect.set_options(timeout=30_000)
    yield opened
    opened.close()


@pytest.fixture
def page(window: "playwright.BrowserContext") -> "Iterator[playwright.Page]":
    """A tab of its own."""
    tab = window.new_page()
    yield tab
    tab.close()
