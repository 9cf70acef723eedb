import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from catalog_schemas.image import CheckResult
from tasks.report import PRODUCTS_SHOWN, _scope
from tasks.reporting.gallery import (
    SCRIPTS,
    STYLES,
    GalleryCount,
    GalleryImage,
    GalleryPage,
    GalleryPhoto,
    GalleryProduct,
    render_gallery,
)

IMAGE = GalleryImage(
    uri="images/mug.jpg",
    scene="wooden-table",
    colour="blue",
    background="scene",
    technique="composite",
    colour_hex="#2b5fb3",
    prompt="a photo of a mug",
    seed=7,
    checks=(CheckResult("fill_ratio", 0.61, 0.5, None),),
)
REFUSED = replace(IMAGE, scene="beach-sand", reason="check_failed", detail="fill_ratio 0.42 is below 0.5")
PRODUCT = GalleryProduct("MUG-1", "Blue mug", "mug", "Kitchen", (GalleryPhoto("photo.jpg"),), (IMAGE,), (REFUSED,))
PAGE = GalleryPage(
    "Demo", "run-1", datetime(2026, 11, 23, tzinfo=UTC), (PRODUCT,), (GalleryCount("1", "product"),), "Only noise"
)


class Elements(HTMLParser):
    """Every element with its attributes, in order, and the text in between."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_its_script_and_its_style_are_among_those_that_later_versions_serve():
    """A later version serves this one's galleries from stores, and lets no other script run there."""
    policy = next(one["content"] for one in Elements(render_gallery(PAGE)).all("meta") if "http-equiv" in one)
    style, script = re.findall("'sha256-([^']*)'", policy)
    assert script in SCRIPTS, f"add {script!r} to SCRIPTS; one that was in no release may go"
    assert style in STYLES, f"add {style!r} to STYLES; one that was in no release may go"


def test_a_products_photos_come_before_its_images_and_its_rejected_ones_last():
    page = render_gallery(PAGE)
    body = page[page.index("<main") :]
    assert body.index("photo.jpg") < body.index("Wooden table") < body.index("1 rejected") < body.index("Beach sand")
    assert '<details class="rejected">' in body
    assert "Check failed" in body
    assert "fill_ratio 0.42 is below 0.5" in body


def test_a_person_says_something_of_published_images_alone_and_of_none_that_the_tables_do_not_hold_yet():
    key = "images/MUG-1/web/wooden-table_original_scene_composite_0-0123456789ab.webp"
    images = (replace(IMAGE, key=key), replace(IMAGE, key=key.replace("0_", "1_"), said="approved"))
    page = replace(PAGE, products=(replace(PRODUCT, images=images, rejected=(replace(REFUSED, key=key),)),))
    drawn = Elements(render_gallery(page))
    assert [one.get("data-key") for one in drawn.all("figure")] == [images[0].key, images[1].key, None]
    assert "✓ approved" in drawn.text
    early = Elements(render_gallery(replace(page, note="4 more to come")))
    assert not any(one.get("data-key") for one in early.all("figure"))
    assert "verdicts" not in {one.get("id") for one in early.all("div")}


def test_captions_tell_channels_apart_where_a_product_has_several():
    def captions(*channels: str) -> list[str]:
        images = tuple(replace(IMAGE, channel=channel) for channel in channels)
        page = render_gallery(replace(PAGE, products=(replace(PRODUCT, images=images),)))
        return re.findall("<figcaption>(.*?)</figcaption>", page, re.DOTALL)[: len(channels)]

    assert "web" not in captions("web", "web")[0]
    story, etsy = captions("instagram-story", "etsy")
    assert "instagram-story" in story
    assert "etsy" in etsy


def test_the_header_shows_the_banner_the_run_and_its_counts():
    text = " ".join(Elements(render_gallery(PAGE)).text)
    for expected in ("Only noise", "run-1", "23 November 2026", "product"):
        assert expected in text
    assert 'role="note"' not in render_gallery(replace(PAGE, banner=""))


def test_a_page_that_is_not_the_last_says_what_is_to_come_and_loads_itself_again():
    page = Elements(render_gallery(replace(PAGE, note="32 more images come")))
    assert "32 more images come" in " ".join(page.text)
    assert page.all("body")[0]["data-again"] == "20"
    assert "data-again" not in Elements(render_gallery(PAGE)).all("body")[0]


def test_a_run_with_more_products_than_a_page_holds_says_how_many_are_left_out():
    assert _scope(PRODUCTS_SHOWN) == ""
    page = render_gallery(replace(PAGE, scope=_scope(PRODUCTS_SHOWN + 1150)))
    assert "200 of this run&#39;s 1,350 products are shown. 1,150 are left out: packshot gallery shows them." in page


def test_the_page_stands_alone():
    elements = Elements(render_gallery(PAGE))
    assert not elements.all("link")
    assert all("src" not in script for script in elements.all("script"))
    assert "@import" not in render_gallery(PAGE)
    assert "url(" not in render_gallery(PAGE)
    assert all("style" not in attributes for _, attributes in elements.found)
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]


def test_the_policy_admits_exactly_the_pages_own_script_and_style():
    page = render_gallery(PAGE)
    policy = next(meta["content"] for meta in Elements(page).all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for element in ("script", "style"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}{% raw %}'


def test_catalog_text_is_text_wherever_it_stands():
    image = replace(
        REFUSED,
        scene=HOSTILE,
        colour=HOSTILE,
        background=HOSTILE,
        technique=HOSTILE,
        channel=HOSTILE,
        prompt=HOSTILE,
        alt_text=HOSTILE,
        reason=HOSTILE,
        detail=HOSTILE,
        colour_hex=HOSTILE,
        checks=(CheckResult(HOSTILE, 1.0, None, None),),
    )
    photo = GalleryPhoto("photo.jpg", reason=HOSTILE, detail=HOSTILE)
    product = GalleryProduct(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (photo,), (image,), (image,), HOSTILE)
    page = GalleryPage(
        HOSTILE, HOSTILE, PAGE.created_at, (product, PRODUCT), (GalleryCount(HOSTILE, HOSTILE),), HOSTILE
    )
    elements = Elements(render_gallery(page))
    assert len(elements.all("script")) == 1
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert all(image.get("src") != "x" for image in elements.all("img"))
    assert "49" not in " ".join(elements.text).replace("7*7", "").split()


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "data:text/html,<b>", " JaVaScRiPt:alert(1)", "vbscript:x", "blob:x"]
)
def test_a_uri_that_is_no_picture_is_left_out(uri):
    page = render_gallery(replace(PAGE, products=(replace(PRODUCT, images=(replace(IMAGE, uri=uri),)),)))
    assert all(uri.strip() not in (link.get("href") or "") for link in Elements(page).all("a"))
    assert "no picture" in page


@pytest.mark.parametrize(
    "uri",
    [
        "images/a%2520b.jpg",
        "../x.png",
        "/srv/x.png",
        "file:///srv/x.png",
        "https://shop.example/x.png",
        "data:image/png;base64,AA==",
    ],
)
def test_relative_absolute_and_data_uris_are_shown(uri):
    page = render_gallery(replace(PAGE, products=(replace(PRODUCT, images=(replace(IMAGE, uri=uri),)),)))
    assert uri in [link["href"] for link in Elements(page).all("a")]


def test_chips_count_what_they_show_and_a_lone_value_gets_none():
    other = replace(PRODUCT, sku="MUG-2", title="Other mug", images=(IMAGE, IMAGE), rejected=())
    chips = Elements(render_gallery(replace(PAGE, products=(PRODUCT, other)))).all("button")
    values = {(chip["data-filter"], chip["data-value"]) for chip in chips if "data-filter" in chip}
    assert values == {("sku", "MUG-1"), ("sku", "MUG-2"), ("scene", "wooden-table"), ("scene", "beach-sand")}


def test_a_product_whose_row_was_refused_before_its_title_was_read_has_its_sku_on_its_chip():
    refused = GalleryProduct("BAD-1", "", note="row 5, SKU BAD-1: title is empty")
    page = render_gallery(replace(PAGE, products=(PRODUCT, refused)))
    assert ">BAD-1</span><small>0</small>" in page


def test_every_image_has_a_text_for_those_who_do_not_see_it():
    pictures = Elements(render_gallery(PAGE)).all("img")
    assert len(pictures) == 4
    assert [picture["alt"] for picture in pictures if picture.get("src")] == [
        "Photo 1 of Blue mug",
        "Blue mug, Wooden table",
        "Blue mug, Beach sand",
    ]


def test_every_text_stands_out_from_its_paper_in_light_and_dark():
    """WCAG 2.1, 1.4.3: a contrast of 4.5 to 1."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
        return sum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    schemes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", rules)) for rules in _root_rules(render_gallery(PAGE))]
    assert len(schemes) == 2
    papers = {"paper", "raised", "sunk"}
    pairs = [(ink, paper) for ink in ("ink", "quiet", "faint", "accent", "bad", "good") for paper in papers]
    for scheme in schemes:
        for ink, paper in [*pairs, ("bad", "bad-paper"), ("warn", "warn-paper")]:
            dark, light = sorted(luminance(scheme[name]) for name in (ink, paper))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {paper}: {scheme[ink]} on {scheme[paper]}"


def _root_rules(page):
    return re.findall(r":root \{(.*?)\}", page, re.S)


def test_a_photo_says_why_it_was_refused_without_a_mouse():
    photo = GalleryPhoto("", reason="reference_too_small", detail="120 x 90 pixels")
    drawn = Elements(render_gallery(replace(PAGE, products=(replace(PRODUCT, photos=(photo,)),))))
    assert "Reference too small: 120 x 90 pixels" in "".join(drawn.text)


def test_a_title_runs_as_its_script_does():
    titles = Elements(render_gallery(PAGE)).all("h2")
    assert [one.get("dir") for one in titles] == ["auto"]


def test_a_quarantined_product_and_an_empty_run_have_a_page():
    quarantined = GalleryProduct("BAD-1", "Bad", note="Every photo was refused")
    page = render_gallery(replace(PAGE, products=(quarantined,)))
    assert "Every photo was refused" in page
    assert "No images were published." in page
    assert "</html>" in render_gallery(replace(PAGE, products=(), counts=()))


def test_thousands_of_products_get_a_search_field_instead_of_chips():
    products = tuple(replace(PRODUCT, sku=f"MUG-{number}") for number in range(200))
    elements = Elements(render_gallery(replace(PAGE, products=products)))
    assert not [chip for chip in elements.all("button") if chip.get("data-filter") == "sku"]
    assert elements.all("input")[0]["type"] == "search"
