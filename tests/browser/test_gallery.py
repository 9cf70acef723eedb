"""Galleries in a browser, without a server: the pages, their pictures and what they send are answered by the tests."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from catalog_schemas.image import CheckResult
from tasks.reporting.gallery import GalleryImage, GalleryPage, GalleryPhoto, GalleryProduct, GalleryShop, render_gallery

PLACE = "https://shop.test/gallery/"
RED = (184, 51, 42)
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
SHOP = GalleryShop("", (), (), (), 0, True)


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
    Image.new("RGB", (64, 64), RED).save(picture, "PNG")

    def opened(page: GalleryPage = PAGE, address: str = PLACE) -> Page:
        tab = window.new_page()
        tab.route("**/*.webp", lambda route: route.fulfill(body=picture.getvalue(), content_type="image/png"))
        tab.route("**/*.png", lambda route: route.fulfill(body=picture.getvalue(), content_type="image/png"))
        tab.route(re.compile(r"/gallery/(\?.*)?$"), lambda route: route.fulfill(body=html, content_type="text/html"))
        html = render_gallery(page)
        tab.goto(address)
        return tab

    return opened


def reject(page: Page, at: int) -> None:
    """Presses the button on an image's tile."""
    page.locator(".tile").nth(at).hover()
    page.locator(".tile").nth(at).get_by_role("button", name="Reject").click()


def seen(page: Page) -> tuple[int, ...]:
    """The colour in the middle of an opened image."""
    drawn = Image.open(BytesIO(page.locator(".stage").screenshot())).convert("RGB")
    return tuple(drawn.resize((3, 3), Image.Resampling.BOX).crop((1, 1, 2, 2)).tobytes())


def take_verdicts(page: Page, answer: Callable[[Route], None]) -> None:
    """What a page sends is answered so."""
    form = {"id": "review-images", "parameters": {"parameters": {}}}
    page.route("**/api/deployments/name/**", lambda route: route.fulfill(json=form))
    page.route("**/create_flow_run", answer)


def test_no_other_image_is_seen_while_one_loads(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".tile a.frame").first.click()
    expect(page.locator(".stage img")).to_have_js_property("complete", True)
    assert seen(page) == RED
    held: list[Route] = []
    page.route("**/garden-grass-large.webp", lambda route: held.append(route))
    page.evaluate("document.querySelectorAll('.tile a.frame')[1].href = 'garden-grass-large.webp'")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".panel dd").first).to_have_text("Garden grass")
    assert seen(page) != RED
    held[0].fulfill(status=404)


def test_what_is_said_in_two_tabs_is_kept_and_told_in_both(open_gallery: Open) -> None:
    first, second = open_gallery(), open_gallery()
    reject(first, 0)
    expect(second.get_by_role("button", name="Copy 1 to reject")).to_be_visible()
    reject(second, 1)
    expect(first.get_by_role("button", name="Copy 2 to reject")).to_be_visible()
    first.reload()
    expect(first.get_by_role("button", name="Copy 2 to reject")).to_be_visible()


def test_a_browser_that_keeps_nothing_still_holds_what_is_said_while_the_page_is_open(
    window: BrowserContext, open_gallery: Open
) -> None:
    window.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }")
    page = open_gallery()
    reject(page, 0)
    reject(page, 1)
    expect(page.get_by_role("button", name="Copy 2 to reject")).to_be_visible()


def test_capital_letters_approve_and_reject_as_small_ones_do(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".tile a.frame").first.click()
    for key, name in (("A", "Approve"), ("R", "Reject")):
        page.keyboard.press(key)
        expect(page.locator(".panel").get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")


def test_an_opened_image_says_which_it_is_of_how_many_and_what_was_said_of_it(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".tile a.frame").first.click()
    told = page.locator("#lightbox").get_by_role("status")
    expect(told).to_have_text("1 of 3: Mug, wooden-table")
    page.keyboard.press("ArrowRight")
    expect(told).to_have_text("2 of 3: Mug, garden-grass")
    page.keyboard.press("r")
    expect(told).to_have_text("2 of 3: Mug, garden-grass, to reject")


def test_the_address_of_an_opened_image_opens_it_for_somebody_else(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".tile a.frame").first.click()
    page.keyboard.press("ArrowRight")
    address = page.url
    page.keyboard.press("Escape")
    expect(page).to_have_url(PLACE)
    other = open_gallery(address=address)
    expect(other.locator("#place")).to_have_text("2 of 3: Mug, garden-grass")
    nowhere = open_gallery(address=f"{PLACE}#images/%E0%A4%A")
    expect(nowhere.locator("#shown")).to_have_text("3 images")
    expect(nowhere.locator("#lightbox")).to_be_hidden()


def test_an_image_that_was_left_does_not_open_when_the_page_is_loaded_again(open_gallery: Open) -> None:
    page = open_gallery()
    for _ in range(5):
        page.locator(".tile a.frame").first.click()
        page.keyboard.press("Escape")
        page.reload()
        expect(page.locator("#shown")).to_have_text("3 images")
        expect(page.locator("#lightbox")).to_be_hidden()


def test_a_photo_beside_an_image_is_seen_and_a_second_click_leads_back_to_the_image(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".tile a.frame").first.click()
    photo, seen = page.locator(".panel .photos a"), page.locator(".stage img")
    photo.click()
    expect(seen).to_have_attribute("alt", "Photo 1 of Enamel mug")
    expect(photo).to_have_attribute("aria-current", "true")
    photo.click()
    expect(seen).to_have_attribute("alt", "Mug, wooden-table")
    expect(photo).to_have_attribute("aria-current", "false")


def test_what_was_sent_is_seen_on_its_images_and_the_keyboard_stays_at_the_bar(open_gallery: Open) -> None:
    page = open_gallery()
    take_verdicts(page, lambda route: route.fulfill(json={"id": "review-1"}))
    reject(page, 0)
    page.locator(".tile").nth(1).hover()
    page.locator(".tile").nth(1).get_by_role("button", name="Approve").click()
    page.get_by_role("button", name="Send").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Sent: it is done in some seconds.")).to_be_visible()
    expect(page.locator(".tile").nth(0)).to_contain_text("✗ rejected")
    expect(page.locator(".tile").nth(1)).to_contain_text("✓ approved")
    colours = page.locator("figcaption .approved, figcaption .taken, figcaption .meta:not(.approved, .taken)")
    assert len({it.evaluate("it => getComputedStyle(it).color") for it in colours.all()}) == 3
    expect(page.get_by_role("link", name="See it")).to_have_count(0)  # packshot browse has no page of a run
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#verdicts")).to_be_hidden()
    expect(page.locator("#search")).to_be_focused()


def test_a_page_says_that_it_sends_and_why_it_could_not_and_keeps_what_was_said(open_gallery: Open) -> None:
    page, held = open_gallery(), list[Route]()
    take_verdicts(page, lambda route: held.append(route))
    reject(page, 0)
    send = page.get_by_role("button", name="Send")
    with page.expect_request("**/create_flow_run"):
        send.press("Enter")
    expect(page.get_by_text("Sending…")).to_be_visible()
    send.press("Enter")
    held[0].fulfill(status=422, content_type="text/plain", body="images/x: no such image")
    expect(page.get_by_text("It could not be sent (images/x: no such image)")).to_be_visible()
    expect(send).to_be_focused()
    assert len(held) == 1, "pressed twice, sent once"
    page.reload()
    expect(page.get_by_role("button", name="Copy 1 to reject")).to_be_visible()
    page.route("**/create_flow_run", lambda route: route.abort())
    send.click()
    expect(page.get_by_text("It could not be sent (the server does not answer).")).to_be_visible()


def test_why_images_are_rejected_is_sent_with_them(open_gallery: Open) -> None:
    page, sent = open_gallery(), list[dict[str, str]]()

    def take(route: Route) -> None:
        sent.append(route.request.post_data_json["parameters"]["parameters"])
        route.fulfill(json={"id": "review-1"})

    take_verdicts(page, take)
    page.locator(".tile").nth(1).hover()
    page.locator(".tile").nth(1).get_by_role("button", name="Approve").click()
    why = page.get_by_label("Why they are rejected")
    expect(why).to_be_hidden()
    reject(page, 0)
    why.fill(" the label is cut, ")
    why.press("End")
    why.press("/")
    why.press("Enter")
    expect(page.get_by_text("Sent: it is done in some seconds.")).to_be_visible()
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    reject(page, 2)
    expect(why).to_have_value("")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Sent: it is done in some seconds.")).to_be_visible()
    assert [one["note"] for one in sent] == ["the label is cut, /", ""]


def test_many_verdicts_are_forgotten_only_when_one_says_so_again(open_gallery: Open) -> None:
    page = open_gallery()
    for at in range(2):
        reject(page, at)
    forget, asked = page.get_by_role("button", name="Forget all"), list[str]()
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    forget.click()
    expect(page.get_by_role("button", name="Copy 2 to reject")).to_be_visible()
    assert asked == ["Forget 2 verdicts that are not sent?"]
    page.once("dialog", lambda dialog: dialog.accept())
    forget.click()
    expect(page.locator("#verdicts")).to_be_hidden()


def test_a_page_that_loads_itself_again_waits_while_somebody_looks_at_an_image(window: BrowserContext) -> None:
    page = window.new_page()
    page.clock.install()
    loads: list[str] = []
    html = render_gallery(replace(PAGE, note="2 more images come. This page loads itself."))
    page.route("**/*.webp", lambda route: route.abort())
    page.route("**/*.png", lambda route: route.abort())
    page.route(PLACE, lambda route: (loads.append(html), route.fulfill(body=html, content_type="text/html")))
    page.goto(PLACE)
    page.locator(".tile a.frame").first.click()
    page.clock.run_for(50_000)
    expect(page.locator("#lightbox")).to_be_visible()
    assert len(loads) == 1
    page.get_by_role("button", name="Close").click()
    with page.expect_response(PLACE):
        page.clock.run_for(21_000)
    assert len(loads) == 2


def test_back_from_a_search_shows_the_words_of_the_page_that_one_comes_back_to(open_gallery: Open) -> None:
    page = open_gallery(replace(PAGE, run_id="", store="store", shop=SHOP))
    page.get_by_label("Find a SKU, title or category").fill("mug")
    page.keyboard.press("Enter")
    page.wait_for_url("**/gallery/?q=mug")
    page.go_back()
    expect(page.get_by_label("Find a SKU, title or category")).to_have_value("")


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


def test_the_word_rejected_finds_the_images_that_failed_and_shows_them(open_gallery: Open) -> None:
    failed = replace(image("MUG-1", "beach-sand"), key="", reason="check_failed", detail="fill_ratio 0.4 is below 0.5")
    fine = replace(MUG, sku="MUG-2", title="Another")
    page = open_gallery(replace(PAGE, products=(replace(MUG, rejected=(failed,)), fine)))
    for words in ("rejected", "check failed", "fill_ratio"):
        page.get_by_label("Find").fill(words)
        expect(page.locator("#shown")).to_have_text("1 of 7 images")
        expect(page.locator(".tile:visible")).to_have_count(1)
        expect(page.locator(".tile:visible .why").first).to_contain_text("fill_ratio 0.4 is below 0.5")


def test_one_image_is_counted_as_one(open_gallery: Open) -> None:
    page = open_gallery(replace(PAGE, products=(replace(MUG, images=MUG.images[:1]),)))
    expect(page.locator("#shown")).to_have_text("1 image")
