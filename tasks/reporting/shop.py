"""The front page of a shop's galleries: a search in all that is live, pages of products, and the runs' galleries."""

import threading
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from tasks.reporting.gallery import GalleryLink, GalleryPage, GalleryShop, render_gallery
from tasks.reporting.live import Asked, Found, Live, Reviewed, live_page
from tasks.runtime.wording import counted
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

PRODUCTS_A_PAGE = 20
RUNS_SHOWN = 100
_VERDICTS: dict[Reviewed, str] = {
    "": "All",
    "unreviewed": "Not reviewed yet",
    "approved": "Approved",
    "rejected": "Rejected",
}


@dataclass(frozen=True)
class Query:
    """What a browser asks for, as the page's address says: the words, the verdict and the page's number, from 1."""

    words: str = ""
    verdict: Reviewed = ""
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "Query":
        """From the parameters of an address; what makes no sense is left out."""
        page, shown = parameters.get("page", ""), parameters.get("show", "")
        verdict: Reviewed = next((one for one in _VERDICTS if one == shown), "")
        number = int(page) if page.isdecimal() and len(page) < 9 else 1
        return cls(unicodedata.normalize("NFC", parameters.get("q", "")[:200]), verdict, max(1, number))

    @property
    def asked(self) -> Asked:
        """The images that are meant."""
        return Asked(words=self.words, verdict=self.verdict)

    @property
    def href(self) -> str:
        """The address, relative to the page's own."""
        given = {"q": self.words, "show": self.verdict, "page": "" if self.page == 1 else str(self.page)}
        return "?" + urlencode({name: value for name, value in given.items() if value})


def shop_page(tables: Tables, live: Live, query: Query) -> GalleryPage:
    """The page that is asked for, and the ways to the others. `live` is what the tables hold. Raises StoreError."""
    found = live.found(query.asked)
    last = max(1, -(-len(found.skus) // PRODUCTS_A_PAGE))
    query = replace(query, page=min(query.page, last))
    first = (query.page - 1) * PRODUCTS_A_PAGE
    skus = found.skus[first : first + PRODUCTS_A_PAGE]
    runs = tables.read("runs", ["run_id", "started_at", "skus_published", "images_published"])
    newest = runs.sort_by([("started_at", "descending")]).slice(0, RUNS_SHOWN).to_pylist()
    shop = GalleryShop(
        words=query.words,
        verdicts=tuple(_verdict(live, query, verdict) for verdict in _VERDICTS),
        pages=_pages(query, last),
        runs=tuple(map(_run, newest)),
        runs_total=len(runs),
        is_front=query == Query(),
    )
    page = live_page(tables, live, query.asked, skus, "")
    return replace(page, counts=found.counts, scope=_scope(found, first, len(skus)), shop=shop)


def _verdict(live: Live, query: Query, verdict: Reviewed) -> GalleryLink:
    """The way to images with that verdict, and how many there are."""
    there = replace(query, verdict=verdict, page=1)
    images = sum(live.found(there.asked).images)
    return GalleryLink(f"{_VERDICTS[verdict]}: {images:,}", there.href, verdict == query.verdict)


def _pages(query: Query, last: int) -> tuple[GalleryLink, ...]:
    """The ways to other pages; those that lead nowhere else are this page's own."""
    if last == 1:
        return ()
    at = query.page
    ways = {"First": 1, "← Previous": max(1, at - 1), f"Page {at:,} of {last:,}": at, "Next →": min(at + 1, last)}
    ways["Last"] = last
    return tuple(GalleryLink(label, replace(query, page=page).href, page == at) for label, page in ways.items())


def _run(row: dict[str, Any]) -> GalleryLink:
    images, products = row["images_published"], row["skus_published"]
    made = f"{counted(images, 'image')} of {counted(products, 'product')}" if images else "nothing new"
    return GalleryLink(
        f"{row['started_at']:%-d %B %Y, %H:%M}: {made}", f"runs/{quote(row['run_id'])}/report/index.html"
    )


def _scope(found: Found, first: int, shown: int) -> str:
    if not shown:
        return "No image is found."
    return f"Products {first + 1:,} to {first + shown:,} of {len(found.skus):,}, by SKU."


class Shop:
    """The front pages of a store, for a server: what is live is read again when a table has changed, not each time.

    Safe to share between threads.
    """

    def __init__(self, store: ObjectStore) -> None:
        self.tables = Tables(store)
        self._lock = threading.Lock()
        self._versions: tuple[int, ...] = ()
        self._live: Live | None = None

    def page(self, query: Query) -> str:
        """The page that is asked for, as HTML. Raises StoreError."""
        return render_gallery(shop_page(self.tables, self._current(), query))

    def _current(self) -> Live:
        with self._lock:
            versions = tuple(self.tables.version(name) for name in ("images", "reviews", "skus"))
            if self._live is None or versions != self._versions:
                self._versions, self._live = versions, Live.of(self.tables)
            return self._live
