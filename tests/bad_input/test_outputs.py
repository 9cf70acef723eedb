"""Catalog text stays text wherever a person or a program meets it: in the gallery, in feeds, in names of files."""

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import MappingProxyType

import pyarrow as pa
import pytest

from catalog_schemas.product import Listing
from tasks.export import Feed, Listings, google_feed, shopify_csv
from tasks.reporting.gallery import GalleryPage, GalleryPhoto, GalleryProduct, render_gallery
from tests.bad_input.night import assert_names_stay_inside
from tests.tasks.reporting.test_gallery import IMAGE, PAGE

MARKUP = {
    "a script": "<script>alert(1)</script>",
    "a handler": '<img src=x onerror="alert(1)">',
    "the end of an attribute": "\"><svg onload=alert(1)> ' onmouseover='alert(1)",
    "the end of the title": "</title></style></script><script>alert(1)</script>",
    "a comment": "<!-- --><!-->--!>",
    "a jinja expression": "{{7*7}}{{ cycler.__init__.__globals__ }}",
    "a jinja statement": "{% for x in ().__class__.__base__.__subclasses__() %}{{x}}{% endfor %}",
    "a format field": "{0.__class__} %(sku)s %s ${HOME} `id`",
    "entities": "&lt;script&gt; &#60;b&#62; &amp;",
    "an override": "Mug \u202egpj.exe",
    "an astral sign": "\N{PILE OF POO}\U0010fffd",
}
LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:x",
    " javascript:x",
]
FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    '=HYPERLINK("http://x.example","click")',
    '"=1+1',
    "a,b\nc;d\te",
]


class Shape(HTMLParser):
    """A page's elements and the names of their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.links += [value or "" for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


def page(text: str, link: str = "a.jpg") -> GalleryPage:
    """A gallery in which everything that a catalog can say says `text`."""
    image = replace(IMAGE, uri=link, prompt=text, alt_text=text)
    refused = replace(image, reason="check_failed", detail=text)
    photo = GalleryPhoto(link, reason="reference_missing", detail=text)
    return replace(PAGE, products=(GalleryProduct(text, text, text, text, (photo,), (image,), (refused,), text),))


@pytest.mark.parametrize("name", MARKUP)
def test_the_gallery_shows_it_as_it_was_written(name: str) -> None:
    text = MARKUP[name]
    plain, hostile = Shape(render_gallery(page("plain"))), Shape(render_gallery(page(text)))
    assert hostile.elements == plain.elements, "no element and no attribute more"
    assert text in "".join(hostile.text)
    assert "49" not in "".join(hostile.text).replace(text, "")


@pytest.mark.parametrize("link", LINKS)
def test_the_gallery_links_to_pictures_only(link: str) -> None:
    assert not [target for target in Shape(render_gallery(page("plain", link))).links if "script" in target.lower()]


def row(text: str, sku: str = "mug-1") -> dict[str, object]:
    return {"sku": sku, "title": text, "alt_text": text, "key": "images/mug-1/web/a b.jpg"}


def feed(write: Feed, rows: list[dict[str, object]], listings: Listings = MappingProxyType({})) -> io.StringIO:
    file = io.StringIO(newline="")
    write(file, pa.Table.from_pylist(rows), "https://shop.example", listings)
    return io.StringIO(file.getvalue(), newline="")


def test_a_handle_is_one_product_whatever_its_sku_shares_with_others() -> None:
    skus = ["ABC", "abc", "A-BC", "A/BC", "Tee", "tee.red", "🔥"]
    listings = {"tee.red": Listing("Tee", "tee"), "tee.blue": Listing("Tee", "tee")}
    lines = feed(shopify_csv, [row("x", sku) for sku in [*skus, "tee.blue", "ABC"]], listings)
    handles = [line["Handle"] for line in csv.DictReader(lines)]
    assert handles.count("tee") == 2, "the colours of a shirt"
    assert len(set(handles)) == 7
    assert all(re.fullmatch("(abc|a-bc|tee|product)-[0-9a-f]{8}", one) for one in handles if one != "tee")
    assert feed(shopify_csv, [row("x", "Mug 1")]).read().splitlines()[1].startswith("mug-1,")


def test_a_google_item_has_one_image_and_ten_more_at_addresses_that_browsers_find() -> None:
    rows = [row("x") | {"key": f"images/100%25/web/{number:02}.jpg"} for number in range(12)]
    (line,) = csv.DictReader(feed(google_feed, rows), dialect="excel-tab")
    links = [line["image_link"], *line["additional_image_link"].split(",")]
    assert links == [f"https://shop.example/images/100%2525/web/{number:02}.jpg" for number in range(11)]


@pytest.mark.parametrize("text", FORMULAS)
def test_feeds_hold_cells_and_no_formulas(text: str) -> None:
    (_, *rows) = csv.reader(feed(shopify_csv, [row(text), row(text)]))
    assert len(rows) == 2
    assert rows[0][1].lstrip("'") == text
    sku = " ".join(text.split())  # a row whose SKU holds other blanks is refused
    (_, *lines) = csv.reader(feed(google_feed, [row("x", sku)]), "excel-tab")
    assert len(lines) == 1
    for cells in (*rows, *lines):
        assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_every_text_is_a_name_of_its_own() -> None:
    assert_names_stay_inside(
        [*MARKUP.values(), *LINKS, *FORMULAS, "", ".", "..", "../../x", "CON", "con", "a/b", "a%2Fb"]
    )
