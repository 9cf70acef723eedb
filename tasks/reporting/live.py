"""The live images of a store, without a run: which there are, and a gallery of those that are asked for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import ConfigError, StoreError
from catalog_schemas.review import Verdict
from configs.reading import unknown
from tasks.planning.unknown_skus import refuse_unknown
from tasks.publishing.reviews import Verdicts
from tasks.reporting.gallery import GalleryCount, GalleryPage, GalleryProduct, render_gallery
from tasks.reporting.shown import Shown, rejected_rows, rows_to_show
from tasks.runtime.replacing import replacing
from tasks.runtime.wording import counted
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

LIVE = "gallery/index.html"  # in the store, where no other place is named
Reviewed = Literal["", "unreviewed", "approved", "rejected"]
SAID: dict[Reviewed, str] = {"unreviewed": "", "approved": Verdict.APPROVED, "rejected": Verdict.REJECTED}
_FIELD = "\n"  # between the texts that are searched: no word holds it


@dataclass(frozen=True)
class Asked:
    """Which live images are meant; what is empty means all.

    `category` is a part of a product's category, and each of `words` one of its SKU, title or category, in any case.
    `verdict` asks for images that nobody has approved or rejected, that somebody has approved, or, live or not, that
    somebody has rejected.
    """

    skus: tuple[str, ...] = ()
    category: str = ""
    words: str = ""
    channel: str = ""
    verdict: Reviewed = ""

    def among(self, images: pa.Table) -> pa.Table:
        """The rows that are meant, as far as `channel` and `verdict` tell."""
        if self.channel:
            images = images.filter(pc.equal(images["channel"], self.channel))
        if self.verdict:
            images = images.filter(pc.equal(images["verdict"], SAID[self.verdict]))
        return images


@dataclass(frozen=True)
class Found:
    """The SKUs of the products that were asked for, in order, and for each the number of its images."""

    skus: list[str]
    images: list[int]

    def __str__(self) -> str:
        return f"{counted(sum(self.images), 'image')} of {counted(len(self.skus), 'product')}"

    @property
    def counts(self) -> tuple[GalleryCount, ...]:
        """The same for a page's header."""
        told = counted(len(self.skus), "product"), counted(sum(self.images), "image")
        return tuple(GalleryCount(*one.split()) for one in told)


@dataclass(frozen=True)
class Live:
    """What is live at one moment: `images` counts them by SKU, channel and verdict, `rejected` likewise those that
    people have rejected, live or not, and `products` has each SKU in order, with its category and the text that is
    searched."""

    images: pa.Table
    rejected: pa.Table
    products: pa.Table

    @classmethod
    def of(cls, tables: Tables) -> Self:
        """Reads six columns of the images, file by file. Raises StoreError."""
        verdicts, parts, rejected = Verdicts(tables), list[pa.Table](), list[pa.Table]()
        suspects = verdicts.rejected_skus
        for rows in tables.parts("images", ["sku", "title", "channel", "variant_id", "slot", "retired_at"]):
            live = rows.filter(pc.is_null(rows["retired_at"]))
            live = live.append_column("verdict", verdicts.of(live))
            parts.append(live.group_by(["sku", "title", "channel", "verdict"]).aggregate([([], "count_all")]))
            rows = rows.filter(pc.is_in(rows["sku"], suspects))
            rejected.append(rows.filter(pc.equal(verdicts.of(rows), Verdict.REJECTED)))
        images, gone = pa.concat_tables(parts), _each_picture(pa.concat_tables(rejected))
        titles = pa.concat_tables([images, gone]).group_by("sku").aggregate([("title", "max")]).sort_by("sku")
        seen = tables.read("skus", ["sku", "category"]).combine_chunks()
        category = pc.fill_null(seen["category"].take(pc.index_in(titles["sku"], value_set=seen["sku"])), "")
        text = pc.utf8_lower(pc.binary_join_element_wise(titles["sku"], titles["title_max"], category, _FIELD))
        return cls(images, gone, pa.table({"sku": titles["sku"], "category": category, "text": text}))

    def found(self, asked: Asked) -> Found:
        """The products with an image that is meant."""
        products = self.products
        if asked.skus:
            products = products.filter(pc.is_in(products["sku"], pa.array(asked.skus, pa.string())))
        if asked.category:
            products = products.filter(pc.match_substring(products["category"], asked.category, ignore_case=True))
        for word in pc.utf8_lower(pa.scalar(asked.words)).as_py().split():  # Python's own makes other letters of some
            products = products.filter(pc.match_substring(products["text"], word))
        images = self.rejected if asked.verdict == "rejected" else self.images
        numbers = asked.among(images).group_by("sku").aggregate([("count_all", "sum")]).combine_chunks()
        counts = numbers["count_all_sum"].take(pc.index_in(products["sku"], value_set=numbers["sku"]))
        held = pc.is_valid(counts)
        return Found(products["sku"].filter(held).to_pylist(), counts.filter(held).to_pylist())

    def check(self, asked: Asked, store: str) -> None:
        """Raises ConfigError where a SKU, category or channel is none of an image's, and StoreError where there is no
        image."""
        if not len(self.products):
            raise StoreError(f"{store}: no image is live here, so there is nothing to show")
        if asked.skus:
            refuse_unknown(asked.skus, set(self.products["sku"].to_pylist()), f"have no live image in {store}")
        channels = sorted({*self.images["channel"].to_pylist(), *self.rejected["channel"].to_pylist()})
        if faults := unknown([asked.channel] if asked.channel else [], channels, "--channel", "channel"):
            raise ConfigError(f"{faults[0]}; there are images of {', '.join(channels)}")
        if asked.category and not self.found(Asked(category=asked.category)).skus:
            named = sorted(set(self.products["category"].to_pylist()) - {""})
            faults = unknown([asked.category], named, "--category", "category")
            if not named:
                raise ConfigError(f"{store}: no category of a product is known here yet: nights write them down")
            raise ConfigError(f"{faults[0]}; name a part of one, such as {named[0]!r}")


def _each_picture(rows: pa.Table) -> pa.Table:
    """Rows of rejected pictures, of which the same may have had several, counted as the images of `Live` are."""
    pictures = rows.group_by(["sku", "channel", "variant_id", "slot"]).aggregate([("title", "max")])
    numbers = pictures.group_by(["sku", "title_max", "channel"]).aggregate([([], "count_all")])
    said = pa.array([str(Verdict.REJECTED)] * len(numbers), pa.string())
    about = {"sku": numbers["sku"], "title": numbers["title_max"], "channel": numbers["channel"], "verdict": said}
    return pa.table({**about, "count_all": numbers["count_all"]})


def live_page(tables: Tables, live: Live, asked: Asked, skus: Sequence[str], root: str) -> GalleryPage:
    """A page of the images of these SKUs that are meant, as they are now; `root`: see `Shown`. Raises StoreError."""
    rows = rejected_rows(tables, skus) if asked.verdict == "rejected" else rows_to_show(tables, skus)
    shown = Shown(tables.store, root, asked.among(rows).sort_by("key"))
    products = live.products.filter(pc.is_in(live.products["sku"], pa.array(skus, pa.string()))).to_pylist()
    return GalleryPage(
        title="Rejected images" if asked.verdict == "rejected" else "Live images",
        run_id="",
        created_at=datetime.now(UTC),
        store=tables.store.url,
        products=tuple(
            GalleryProduct(
                sku=one["sku"],
                title=shown.title(one["sku"]),
                category=one["category"],
                photos=shown.photos(one["sku"]),
                images=shown.images(one["sku"]),
            )
            for one in products
            if one["sku"] in shown.rows
        ),
    )


@dataclass(frozen=True)
class Written:
    """A gallery's place, a path or a URL, and what it holds and leaves out, also as a sentence, its `scope`."""

    gallery: str
    products: int
    images: int
    products_left_out: int
    images_left_out: int
    scope: str


def write_gallery(store: ObjectStore, asked: Asked, limit: int, out: Path | None, base_url: str) -> Written:
    """Writes a gallery of the first `limit` products, by SKU, with images that are meant: to `out`, or to
    `gallery/index.html` in the store.

    Pictures of a bucket are reached from `out` by `base_url`. Raises ConfigError for what nobody knows, and StoreError,
    also where no image is live.
    """
    tables, root = Tables(store), _root(store, out, base_url)
    live = Live.of(tables)
    live.check(asked, store.url)
    found = live.found(asked)
    page = live_page(tables, live, asked, found.skus[:limit], root)
    held = Found(found.skus[:limit], found.images[:limit])
    left = Found(found.skus[limit:], found.images[limit:])
    scope = f"{held}: all that were asked for." if held.skus else "No image is as was asked for."
    if left.skus:
        scope = f"{held}. {left} are left out: name fewer, or raise --limit."
    if asked.category and (bare := live.products["category"].to_pylist().count("")):
        scope += f" No category is known of {counted(bare, 'product')}."
    html = render_gallery(replace(page, counts=held.counts, scope=scope)).encode()
    if out is None:
        store.write(LIVE, html)
    else:
        try:
            with replacing(out) as fresh:
                fresh.write_bytes(html)
        except OSError as error:
            raise StoreError(f"{out}: cannot be written: {error.strerror}; choose another --out") from error
    place = store.uri(LIVE) if out is None else str(out)
    return Written(place, len(held.skus), sum(held.images), len(left.skus), sum(left.images), scope)


def _root(store: ObjectStore, out: Path | None, base_url: str) -> str:
    """How the page reaches the store."""
    if out is None:
        return "../"
    if base_url:
        return f"{base_url.rstrip('/')}/"
    if store.local_path(LIVE) is None:
        raise ConfigError(
            f"{store.url}: a browser does not show pictures of a bucket in a file; give --base-url, the https URL that "
            "the store is reached by, or leave --out away: the page is written into the store"
        )
    return quote(os.path.relpath(store.url, out.absolute().parent)) + "/"
