"""The gallery: one HTML file that shows a run's products, their photos, and every image made or refused.

It needs no server and no network. Catalog text is data here, never markup: the template escapes it, only picture URIs
of known schemes are used, and a content security policy allows nothing but this page's own script and style.
"""

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

import jinja2

from catalog_schemas.image import CheckResult
from catalog_schemas.review import NOTE_MAXIMUM
from tasks.reporting.reshoot import Reshoot

_SCHEMES = ("http://", "https://", "file://", "data:image/")
# Hashes, of every version whose galleries lie in stores, this one too: where those are served, nothing else runs.
SCRIPTS = (
    "LEvKsB/I6YJCApd6HMk5bzy5jJoDUAkr3BHPuWwe0rY=",
    "T5ye+W5liBoWNFqRWtTOsm0SP+KlTigo2MOfpitHZjM=",
    "yoDk4nAKcRy4VJglIhaTuEr8wPsUjNMwlopvW8UEm0k=",
    "Lq70O/6jyPO4eeiZh4kXg3vJ4nrLp9PtZJN5oSgtS50=",
    "gQyBYA9n3vgIhIBpYHmapFRJhwU5kLWWflBmsN5Hzfc=",
)
STYLES = (
    "U8MRkGDs7plXHl2HXdePlFOUjBye76OVUQQj4ukqNj8=",
    "jYmn6naIuSJw5NGdOuDqpMA5eT7sIsENdMmH4DVklrw=",
    "e+yGC4PQJEtCCaJXct7naygOTrmVTNmw/Wz6E1mdApQ=",
    "6GK5JOrVXvqY2OCdXcVui3OogAaFvDZme/yPlBtXURk=",
)
_CHIPS_OF_SKUS = 40  # beyond that many products the search field finds one sooner


@dataclass(frozen=True, slots=True)
class GalleryImage:
    """One image, published or refused.

    `uri` is a URL, absolute or relative to the page, percent-encoded where needed; an empty one shows a tile without a
    picture. `small` is a smaller file of the same, for its tile; empty where there is none. `reason` is empty for a
    published image. `colour_hex` is "#rrggbb" or empty. `key` is the store's, by which a person approves or rejects it;
    `said` is the verdict that somebody has given, "approved" or "rejected", and `note` what they wrote beside it.
    """

    uri: str
    scene: str
    colour: str
    background: str
    technique: str
    alt_text: str = ""
    colour_hex: str = ""
    channel: str = ""
    prompt: str = ""
    seed: int = 0
    width: int = 0
    height: int = 0
    checks: tuple[CheckResult, ...] = ()
    reason: str = ""
    detail: str = ""
    key: str = ""
    said: str = ""
    note: str = ""
    small: str = ""


@dataclass(frozen=True, slots=True)
class GalleryPhoto:
    """A reference photo; `reason` says why it was refused, if it was. `small` as of `GalleryImage`."""

    uri: str
    reason: str = ""
    detail: str = ""
    small: str = ""


@dataclass(frozen=True, slots=True)
class GalleryProduct:
    """One SKU: its photos first, then its images. `note` says what became of it, if that needs saying."""

    sku: str
    title: str
    class_noun: str = ""
    category: str = ""
    photos: tuple[GalleryPhoto, ...] = ()
    images: tuple[GalleryImage, ...] = ()
    rejected: tuple[GalleryImage, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class GalleryCount:
    """A number of the run, for the header: 48 "images"."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class GalleryLink:
    """A way from a page to another; `is_here` where it leads to this one."""

    label: str
    href: str
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class GalleryShop:
    """What a page has that is one of many of a whole shop: a search, and the ways to the others.

    `words` is what was searched for, `verdicts` leads to images that were reviewed and those that were not, `pages` to
    the other pages, `runs` to the galleries of runs, the newest first, of which there are `runs_total`. They are folded
    but on the front page, where nothing was asked for.
    """

    words: str
    verdicts: tuple[GalleryLink, ...]
    pages: tuple[GalleryLink, ...]
    runs: tuple[GalleryLink, ...]
    runs_total: int
    is_front: bool


@dataclass(frozen=True, slots=True)
class GalleryPage:
    """All that the page shows. `banner` is a warning above everything else, such as that the model is untrained.

    `run_id` is empty for a page of live images, and `store` says whose. `scope` is a sentence about what the page holds
    and what it leaves out. A page with a `note` is not the last: it says what is to come, and the page loads itself
    again. `reshoot` are the first lines of the list at `reshoot_uri`, which has `reshoot_total`.
    """

    title: str
    run_id: str
    created_at: datetime
    products: tuple[GalleryProduct, ...]
    counts: tuple[GalleryCount, ...] = ()
    banner: str = ""
    note: str = ""
    reshoot: tuple[Reshoot, ...] = ()
    reshoot_total: int = 0
    reshoot_uri: str = ""
    store: str = ""
    scope: str = ""
    shop: GalleryShop | None = None


@dataclass(frozen=True, slots=True)
class _Chip:
    """A filter's button: how many images it shows."""

    value: str
    label: str
    images: int
    hexadecimal: str = ""


def render_gallery(page: GalleryPage) -> str:
    """The page as one HTML document."""
    return _template().render(page=page, filters=_filters(page.products), note_maximum=NOTE_MAXIMUM)


@cache
def _template() -> jinja2.Template:
    """Compiled once: a run renders two pages."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"picture": _picture, "words": _words, "number": _number, "sha256": _sha256}
    template = resources.files("tasks.reporting").joinpath("gallery.html").read_text(encoding="utf-8")
    return environment.from_string(template)


@cache
def policy() -> str:
    """The content security policy of pages from a store: what one of this version says of itself, but with the scripts
    and styles of earlier versions, too, whose galleries are still there."""
    page = render_gallery(GalleryPage("", "", datetime.min, ()))
    found = re.search('http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert found, "a gallery has a policy"
    own = html.unescape(found[1])
    for name, known in (("script-src", SCRIPTS), ("style-src", STYLES)):
        own = re.sub(f"{name} [^;]*", " ".join([name, *(f"'sha256-{one}'" for one in known)]), own)
    return own


def _filters(products: Iterable[GalleryProduct]) -> list[tuple[str, list[_Chip]]]:
    """The rows of chips, each with its name; a row with a single chip would filter nothing and is left out."""
    products = list(products)
    images = [image for product in products for image in (*product.images, *product.rejected)]
    rows = [
        ("scene", _chips(image.scene for image in images)),
        ("colour", _chips((image.colour for image in images), {image.colour: image.colour_hex for image in images})),
        ("background", _chips(image.background for image in images)),
        ("technique", _chips(image.technique for image in images)),
        ("channel", _chips(image.channel for image in images)),
    ]
    if len(products) <= _CHIPS_OF_SKUS:
        chips = [_Chip(one.sku, one.title or one.sku, len(one.images) + len(one.rejected)) for one in products]
        rows.insert(0, ("sku", chips))
    return [(name, chips) for name, chips in rows if len(chips) > 1]


def _chips(values: Iterable[str], hexadecimals: Mapping[str, str] | None = None) -> list[_Chip]:
    counts = Counter(sorted(value for value in values if value))
    dots = hexadecimals or {}
    return [_Chip(value, _words(value), count, dots.get(value, "")) for value, count in counts.most_common()]


def _picture(uri: str) -> str:
    """The URI if a browser may load it as a picture: of a known scheme, or relative; else nothing."""
    scheme = re.match(r"[^/?#]*:", uri.strip())
    return uri.strip() if not scheme or uri.strip().lower().startswith(_SCHEMES) else ""


def _words(name: str) -> str:
    """A name as words: "wooden-table" is "Wooden table"."""
    words = name.replace("-", " ").replace("_", " ")
    return words[:1].upper() + words[1:]


def _number(value: float) -> str:
    """Four significant digits at most, and no exponent."""
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def _sha256(text: str) -> str:
    """The text's hash as a content security policy writes it."""
    return base64.b64encode(hashlib.sha256(str(text).encode()).digest()).decode("ascii")
