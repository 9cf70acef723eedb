"""The live images as a plain tree of files, or as a feed that a shop imports."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import ConfigError, StoreError
from catalog_schemas.identity import content_id
from catalog_schemas.product import Listing
from catalog_schemas.review import Verdict
from configs.reading import unknown
from tasks.exporting.cells import inert
from tasks.exporting.tree import is_exported_to, write_tree
from tasks.publishing.reviews import Verdicts
from tasks.runtime.replacing import replacing
from tasks.runtime.wording import counted
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

COLUMNS = ["sku", "title", "key", "alt_text"]
BATCH = 10_000  # rows that are Python's at once: as such they take ten times the memory
Listings = Mapping[str, Listing]
Feed = Callable[[TextIO, pa.Table, str, Listings], None]


@dataclass(frozen=True)
class Exported:
    """How many images there are, and how many files of images that are no longer among them were deleted."""

    images: int
    deleted: int = 0

    def __str__(self) -> str:
        gone = f", {counted(self.deleted, 'file')} of earlier exports deleted" if self.deleted else ""
        return f"{counted(self.images, 'image')} exported{gone}"


def export(store: ObjectStore, kind: str, to: Path, channel: str, base_url: str, approved: bool = False) -> Exported:
    """Writes the live images of `channel` (all, where empty) as `kind` to `to`.

    With `approved` only those that somebody has approved are written.

    `tree` copies the files to <to>/<sku>/<channel>/<name>, and deletes those of earlier exports that are not among
    them; `shopify` writes a product CSV with an image a row, `google` a supplemental feed (TSV) with an image link an
    item. Feeds name products as the file did that they were imported from, and need `base_url`, under which the store's
    keys are reachable. Raises ConfigError, and StoreError also where there is nothing to export, nor was there before.
    """
    tables = Tables(store)
    rows = tables.live_images([*COLUMNS, "channel", *(["variant_id", "slot"] if approved else [])])
    is_emptied = kind == "tree" and is_exported_to(to)
    if not len(rows) and not is_emptied:
        raise StoreError(f"{store.url}: no image is live here, so there is nothing to export")
    channels = sorted(rows["channel"].unique().to_pylist())
    if len(rows) and (faults := unknown([channel] if channel else [], channels, "--channel", "channel")):
        raise ConfigError(f"{faults[0]}; there are images of {', '.join(channels)}")
    if channel:
        rows = rows.filter(pc.equal(rows["channel"], channel))
    if approved:
        rows = rows.filter(pc.equal(Verdicts(tables).of(rows), Verdict.APPROVED))
        if not len(rows) and not is_emptied:
            raise StoreError(f"{store.url}: none of the images is approved, so there is nothing to export")
    if kind != "tree" and not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"--base-url is {base_url!r}; a {kind} feed needs the https URL that the store is reached by")
    try:
        if kind == "tree":
            return Exported(len(rows), write_tree(store, rows["key"].to_pylist(), to, channel))
        with replacing(to) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:  # read at any time
            FEEDS[kind](file, rows.select(COLUMNS), base_url.rstrip("/"), _listings(tables))
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error.strerror}; choose another --out") from error
    return Exported(len(rows))


def shopify_csv(file: TextIO, rows: pa.Table, base_url: str, listings: Listings) -> None:
    """Shopify's product CSV: one row per image, the handle repeated, positions counted per product.

    SKUs whose listings name one handle, as the colours of a shirt do, stand together as one product.
    """
    writer = csv.writer(file)
    writer.writerow(["Handle", "Title", "Image Src", "Image Position", "Image Alt Text"])
    skus = rows["sku"].unique().sort()
    handles = _handles(skus.to_pylist(), listings)
    places = {handle: place for place, handle in enumerate(dict.fromkeys(handles.values()))}
    product = pa.array([places[handle] for handle in handles.values()], pa.int64())
    rows = rows.append_column("product", product.take(pc.index_in(rows["sku"], value_set=skus)))
    for _, images in groupby(_sorted(rows, "product", "sku", "key"), itemgetter("product")):
        for position, row in enumerate(images, 1):
            sku, title = row["sku"], ""
            if position == 1:
                title = (listings[sku].title if sku in listings else "") or row["title"]
            cells = (handles[sku], title, _link(base_url, row), str(position), row["alt_text"])
            writer.writerow([inert(cell) for cell in cells])


def google_feed(file: TextIO, rows: pa.Table, base_url: str, listings: Listings) -> None:
    """Google Merchant Center's supplemental feed: id, image_link and up to ten additional_image_link.

    Items that share a SKU, as the sizes of a shoe do, have a line each.
    """
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "image_link", "additional_image_link"])
    for sku, images in groupby(_sorted(rows.select(["sku", "key"]), "sku", "key"), itemgetter("sku")):
        links = [_link(base_url, row) for row in images]
        ids = listings[sku].ids.split("\n") if sku in listings else [""]
        for item in dict.fromkeys(filter(None, ids)) or [sku]:
            writer.writerow([inert(item), links[0], ",".join(links[1:11])])


FEEDS: dict[str, Feed] = {"shopify": shopify_csv, "google": google_feed}


def _sorted(rows: pa.Table, *columns: str) -> Iterator[dict[str, Any]]:
    """The rows in order of these columns, the first first."""
    for batch in rows.sort_by([(name, "ascending") for name in columns]).to_batches(BATCH):
        yield from batch.to_pylist()


def _listings(tables: Tables) -> Listings:
    """What the shop calls the SKUs that runs over a whole catalog have seen."""
    rows = tables.read("skus", ["sku", "title", "handle", "ids"]).to_pylist()
    return {row["sku"]: Listing(row["title"] or "", row["handle"] or "", row["ids"] or "") for row in rows}


def _handles(skus: Iterable[str], listings: Listings) -> dict[str, str]:
    """A handle for each SKU: the shop's own, or else one made of the SKU, with a hash where that is not its alone."""
    handles = {sku: (listings[sku].handle if sku in listings else "") for sku in skus}
    made = {sku: _handle(sku) for sku, handle in handles.items() if not handle}
    times = Counter([*made.values(), *set(handles.values())])
    for sku, handle in made.items():
        lone = handle and times[handle] == 1
        handles[sku] = handle if lone else f"{handle or 'product'}-{content_id([sku])[:8]}"
    return handles


def _handle(sku: str) -> str:
    """Shopify's handle: lower case letters, digits and hyphens."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in sku.lower()).split())


def _link(base_url: str, row: dict[str, Any]) -> str:
    return f"{base_url}/{quote(row['key'])}"
