"""Galleries in a browser, without a server: the pages, their pictures and what they send are answered by the tests."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from catalog_schemas.image import CheckResult
from tasks.reporting.gallery import GalleryImage, GalleryPage, GalleryPhoto, GalleryProduct, render_gallery

PLACE = "https://shop.test/gallery/"
SCENES = ("wooden-table", "garden-grass", "kitchen-counter")
Open = Callable[..., Page]


def image(sku: str, scene: str) -> GalleryImage:
    """One that a person can approve or reject."""
    key = f"images/{sku}/web/{scene}_original_scene_composite_0-0123456789ab.webp"
    checks = (CheckResult("contrast", 30.2, 8, None),)
    return GalleryImage(key, scene, "", "scene", "composite", f"Mug, {scene}", key=key, checks=checks)


MUG = GalleryProduct(
    "MUG-1",
    "Enamel mug",
    "mug",
    "Kitchen",
    (GalleryPhoto("photo-1.png"), GalleryPhoto("", "reference_too_small", "120 × 90 pixels")),
    tuple(image("MUG-1", scene) for scene in SCENES),
)
PAGE = GalleryPage("packshot", "run-1", datetime(2026, 11, 23, tzinfo=UTC), (MUG,))


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserContext]:
    """One that remembers nothing of other tests."""
    opened = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    opened.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    yield opened
    opened.close()


@pytest.fixture
def open_gallery(window: BrowserContext) -> Open:
    """Opens a page in a tab of its own; every picture is there, and nothing takes verdicts."""
    picture = BytesIO()
    Image.new("RGB", (64, 64), "#b8332a").save(picture, "PNG")

    def opened(page: GalleryPage = PAGE, tab: Page | None = None) -> Page:
        tab = tab or window.new_page()
        tab.route("**/*.webp", lambda route: route.fulfill(body=picture.getvalue(), content_type="image/png"))
        tab.route("**/*.png", lambda route: route.fulfill(body=picture.getvalue(), content_type="image/png"))
        tab.route(re.compile(r"/gallery/(\?.*)?$"), lambda route: route.fulfill(body=html, content_type="text/html"))
        html = render_gallery(page)
        tab.goto(PLACE)
        return tab

    return opened


def test_a_title_without_a_space_stays_within_the_panel(open_gallery: Open) -> None:
    page = open_gallery(replace(PAGE, products=(replace(MUG, title="Donaudampfschifffahrt" * 9),)))
    page.locator(".tile a.frame").first.click()
    assert page.locator(".panel").evaluate("it => it.scrollWidth <= it.clientWidth")


def test_a_pressed_filter_is_seen_where_the_system_chooses_the_colours(open_gallery: Open) -> None:
    page = open_gallery()
    page.emulate_media(forced_colors="active")
    chips = page.locator("button.chip")
    chips.first.click()
    pressed, other = (chips.nth(at).evaluate("it => getComputedStyle(it).backgroundColor") for at in (0, 1))
    assert pressed != other
