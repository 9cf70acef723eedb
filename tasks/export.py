"""The live images as a plain tree of files, or as a feed that a shop imports."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from catalog_schemas.errors import ConfigError, StoreError
from catalog_schemas.identity import content_id
from catalog_schemas.product import Listing
from catalog_schemas.review import Verdict
from configs.reading import unknown
from tasks.exporting.cells import inert
from tasks.exporting.tree import is_exported_to, write_tree
from tasks.publishing.reviews import reviewed
from tasks.runtime.replacing import replacing
from tasks.runtime.wording import counted
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

COLUMNS = ["sku", "title", "channel", "key", "alt_text", "variant_id", "slot"]
Rows = list[dict[str, Any]]
Listings = Mapping[str, Listing]


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
    rows = tables.live_images(COLUMNS).sort_by([("sku", "ascending"), ("key", "ascending")]).to_pylist()
    is_emptied = kind == "tree" and is_exported_to(to)
    if not rows and not is_emptied:
        raise StoreError(f"{store.url}: no image is live here, so there is nothing to export")
    channels = sorted({row["channel"] for row in rows})
    if rows and (faults := unknown([channel] if channel else [], channels, "--channel", "channel")):
        raise ConfigError(f"{faults[0]}; there are images of {', '.join(channels)}")
    rows = [row for row in rows if not channel or row["channel"] == channel]
    if approved:
        good = reviewed(tables, Verdict.APPROVED)
        rows = [row for row in rows if (row["variant_id"], row["slot"]) in good]
        if not rows and not is_emptied:
            raise StoreError(f"{store.url}: none of the images is approved, so there is nothing to export")
    if kind != "tree" and not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"--base-url is {base_url!r}; a {kind} feed needs the https URL that the store is reached by")
    try:
        if kind == "tree":
            return Exported(len(rows), write_tree(store, [row["key"] for row in rows], to, channel))
        with replacing(to) as fresh:  # a shop may read the feed at any time
            fresh.write_text(FEEDS[kind](rows, base_url.rstrip("/"), _listings(tables)), encoding="utf-8", newline="")
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error.strerror}; choose another --out") from error
    return Exported(len(rows))


def shopify_csv(rows: Rows, base_url: str, listings: Listings) -> str:
    """Shopify's product CSV: one row per image, the handle repeated, positions counted per product.

    SKUs whose listings name one handle, as the colours of a shirt do, stand together as one product.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["Handle", "Title", "Image Src", "Image Position", "Image Alt Text"])
    products: dict[str, list[tuple[str, Rows]]] = defaultdict(list)
    images_of = _by_sku(rows)
    handles = _handles(images_of, listings)
    for sku, images in images_of.items():
        listing = listings.get(sku)
        products[handles[sku]].append(((listing and listing.title) or images[0]["title"], images))
    for handle, skus in products.items():
        for position, row in enumerate((row for _, images in skus for row in images), 1):
            title = skus[0][0] if position == 1 else ""
            cells = (handle, title, _link(base_url, row), str(position), row["alt_text"])
            writer.writerow([inert(cell) for cell in cells])
    return buffer.getvalue()


def google_feed(rows: Rows, base_url: str, listings: Listings) -> str:
    """Google Merchant Center's supplemental feed: id, image_link and up to ten additional_image_link.

    Items that share a SKU, as the sizes of a shoe do, have a line each.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
    writer.writerow(["id", "image_link", "additional_image_link"])
    for sku, images in _by_sku(rows).items():
        links = [_link(base_url, row) for row in images]
        ids = listings[sku].ids.split("\n") if sku in listings else [""]
        for item in dict.fromkeys(filter(None, ids)) or [sku]:
            writer.writerow([inert(item), links[0], ",".join(links[1:11])])
    return buffer.getvalue()


FEEDS: dict[str, Callable[[Rows, str, Listings], str]] = {"shopify": shopify_csv, "google": google_feed}


def _by_sku(rows: Iterable[dict[str, Any]]) -> dict[str, Rows]:
    grouped: dict[str, Rows] = defaultdict(list)
    for row in rows:
        grouped[row["sku"]].append(row)
    return grouped


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
