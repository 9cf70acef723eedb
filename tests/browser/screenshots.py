"""Takes the pictures of docs/merchandisers.md anew, on the demo catalog, or the README's and theirs of a gallery:

    python -m tests.browser.screenshots FOLDER --config demo
    python -m tests.browser.screenshots --gallery out/demo/store/runs/RUN/report/index.html

FOLDER keeps the shop that is photographed; the pictures go to docs/images/.
"""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

from infra.demo.catalog import write_demo_catalog
from tests.browser.merchandiser import fill_form, open_artifacts, open_upcoming, submit
from tests.browser.served import ROOT, Served

IMAGES = ROOT / "docs" / "images"
FORM_HEIGHT = 1440  # down to where the form turns to what is filled in already
GALLERY: ViewportSize = {"width": 1500, "height": 1455}  # the demo's first two products


def take(folder: Path, config: str) -> None:
    """Walks a merchandiser's way once, and takes a picture at each step."""
    catalog = write_demo_catalog(folder / "catalog")
    served = Served.start(catalog, folder / "store", config, folder / "home", "--timezone", "Europe/Berlin")
    try:
        with _page() as page:
            skus = [path.name for path in sorted((catalog.parent / "photos").iterdir())][:3]
            page.set_viewport_size({"width": 1180, "height": 1900})
            fill_form(page, served, "\n".join(skus), ["blossom-table", "kitchen-counter"])
            page.get_by_label("A place in your own words").fill("a mossy rock in a forest")
            page.get_by_label("Select techniques").click()
            page.get_by_role("option", name="packshot", exact=True).click()
            page.keyboard.press("Escape")
            page.mouse.move(0, 0)
            _shoot(page, "form", FORM_HEIGHT)
            run_id = submit(page)
            served.wait_for_run(run_id, {"COMPLETED", "FAILED", "CRASHED"}, seconds=900)
            page.set_viewport_size({"width": 1180, "height": 820})
            open_artifacts(page, served, run_id)
            page.wait_for_timeout(4000)  # the drawing of the run settles
            _shoot(page, "run", 820)
            page.get_by_text("Made:").click()
            expect(page.locator("img[src^='data:image/']").first).to_be_visible()
            page.set_viewport_size({"width": 1180, "height": 1240})
            _shoot(page, "images", 1240)
            page.set_viewport_size({"width": 1180, "height": 660})
            open_upcoming(page, served, "nightly-refresh")
            expect(page.get_by_text("auto-scheduled").first).to_be_visible()
            _shoot(page, "night", 660)
    finally:
        served.stop()


def take_gallery(report: Path) -> None:
    """The first products of a run's gallery, and the same with images approved and rejected."""
    with _page() as page:
        page.set_viewport_size(GALLERY)
        page.goto(report.absolute().as_uri())
        _shoot_photos(page, "gallery", 1000)
        tiles = page.locator(".tile")
        for at, name in ((0, "Approve"), (2, "Approve"), (7, "Reject")):
            tiles.nth(at).hover()
            tiles.nth(at).get_by_role("button", name=name).click()
        page.get_by_role("button", name="to reject").click()
        page.set_viewport_size({"width": 1180, "height": 900})
        page.evaluate("scrollTo(0, 250)")
        page.mouse.move(0, 0)
        _shoot_photos(page, "review", 1180)


@contextmanager
def _page() -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(timezone_id="Europe/Berlin")
        browser.close()


def _shoot_photos(page: Page, name: str, side: int) -> None:
    """All that is seen, scaled to at most that many pixels, and with all its colours."""
    page.wait_for_timeout(1500)
    image = Image.open(BytesIO(page.screenshot())).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(IMAGES / f"{name}.webp", quality=85, method=6)


def _shoot(page: Page, name: str, height: int) -> None:
    page.wait_for_timeout(1500)
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file, clip={"x": 0, "y": 0, "width": 1180, "height": height})
    Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--config", default="demo")
    parser.add_argument("--gallery", type=Path, help="a run's report/index.html")
    given = parser.parse_args()
    if given.gallery:
        take_gallery(given.gallery)
    elif given.folder:
        take(given.folder.absolute(), given.config)
    else:
        parser.error("expected a folder to keep a shop in, or --gallery with a report")
