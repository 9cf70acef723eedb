"""What a merchandiser should mend, or photograph again: the photos that are refused today, in plain words, as a CSV.

The table of rejections remembers every refusal. One counts today while the photo is the one that was refused, or,
where no photo could be had at all, while nobody has looked at the product since.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.rejection import Reason
from tasks.exporting.cells import inert
from tasks.planning.let_through import still_refused
from tasks.read_catalog import catalog_batches
from tasks.runtime.context import RunContext
from tasks.storage.tables import Tables

COLUMNS = ("SKU", "title", "photo", "what is wrong", "what to do", "details")
_WORDS = {
    Reason.ROW_NO_REFERENCES: ("the product has no photo", "take three to five photos of it"),
    Reason.SKU_NO_USABLE_REFERENCES: (
        "none of its photos can be used, so no image is made",
        "send at least one good photo; the other lines of this SKU say what was wrong",
    ),
    Reason.REFERENCE_MISSING: ("the photo is not where the catalog says", "upload it again, or correct its address"),
    Reason.REFERENCE_DENIED: ("the shop's server does not hand the photo out", "ask your engineers to open it"),
    Reason.REFERENCE_FORBIDDEN: (
        "the photo lies in a place that may not be read",
        "move it to where the other photos are, or ask your engineers to allow the place",
    ),
    Reason.REFERENCE_TOO_LARGE: ("the file is too large", "save it smaller: 4,000 pixels a side are plenty"),
    Reason.REFERENCE_UNREADABLE: (
        "the file is damaged, or of a kind that is not read",
        "save it again as JPEG or PNG and upload it; else take it again",
    ),
    Reason.REFERENCE_TOO_SMALL: ("the photo is too small", "take it again, or send the original and no thumbnail"),
    Reason.REFERENCE_BLANK: ("the photo shows nothing but one colour", "take it again"),
    Reason.REFERENCE_DUPLICATE: ("the same photo is listed twice", "replace one by another side of the product"),
    Reason.REFERENCE_PLACEHOLDER: (
        "the picture stands for many products: it is no photo of this one",
        "take a photo of this product",
    ),
    Reason.MASK_UNREADABLE: ("the photo's cut-out mask does not fit it", "make the mask again, or send none"),
}
_WITHOUT_ANY = (Reason.ROW_NO_REFERENCES, Reason.SKU_NO_USABLE_REFERENCES)


@dataclass(frozen=True, slots=True)
class Reshoot:
    """A line of the list. `photo` is as short as can be told, and empty where the whole product is meant."""

    sku: str
    title: str
    photo: str
    wrong: str
    remedy: str
    detail: str


def reshoots(context: RunContext) -> tuple[Reshoot, ...]:
    """What is to be photographed again of this catalog: products without any usable photo first.

    Raises StoreError and CatalogError.
    """
    tables = Tables(context.open())
    columns = ["sku", "stage", "reason", "subject", "detail", "run_id", "created_at"]
    rows = tables.read("rejections", columns, [("reason", "in", [str(reason) for reason in _WORDS])]).to_pylist()
    if not rows:
        return ()
    skus = sorted({row["sku"] for row in rows})
    current = _Current(context, tables, skus)
    rows = still_refused(context, [row for row in rows if current.holds(row)])
    titles = _titles(context.catalog, {row["sku"] for row in rows})
    bare = {row["sku"] for row in rows if row["reason"] in _WITHOUT_ANY}
    rows = sorted(
        (row for row in rows if row["sku"] in titles),
        key=lambda row: (row["sku"] not in bare, row["sku"], row["reason"] not in _WITHOUT_ANY, row["subject"]),
    )
    folder = context.catalog.rpartition("/")[0] + "/"
    return tuple(_line(row, titles[row["sku"]], folder) for row in rows)


def reshoot_csv(lines: Iterable[Reshoot]) -> bytes:
    """The list as spreadsheets open it: UTF-8 with a mark, and no cell that is a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for one in lines:
        cells = (one.sku, one.title, one.photo, one.wrong, one.remedy, one.detail)
        writer.writerow([inert(cell) for cell in cells])
    return buffer.getvalue().encode("utf-8-sig")


class _Current:
    """Tells refusals that count today from those of photos and rows that were corrected since."""

    def __init__(self, context: RunContext, tables: Tables, skus: list[str]) -> None:
        mine = [("catalog", "=", context.catalog_name), ("sku", "in", skus)]
        self.run_id = context.run_id
        seen = tables.read("skus", ["sku", "status", "updated_at"], mine).to_pylist()
        self.looked_at: dict[str, datetime] = {row["sku"]: row["updated_at"] for row in seen}
        self.retired = {row["sku"] for row in seen if row["status"] == "retired"}
        photos = tables.read("photos", ["sku", "uri", "content", "updated_at"], mine).to_pylist()
        self.photos = {(row["sku"], row["uri"]): row for row in photos}

    def holds(self, row: dict[str, Any]) -> bool:
        """Whether the refusal is still true, as far as runs have seen."""
        sku, said = row["sku"], row["created_at"]
        if sku in self.retired:
            return False
        photo = self.photos.get((sku, row["subject"]))
        if photo is not None and row["stage"] == "prepare_references":
            return bool(photo["content"]) and said >= photo["updated_at"]
        return said >= self.looked_at[sku] if sku in self.looked_at else row["run_id"] == self.run_id


def _titles(catalog: str, skus: set[str]) -> dict[str, str]:
    """The titles of these SKUs, as far as the catalog has them."""
    wanted, titles = pa.array(sorted(skus), pa.string()), dict[str, str]()
    for batch in catalog_batches(catalog):
        rows = batch.select(["sku", "title"]).filter(pc.is_in(batch["sku"], wanted))
        for sku, title in zip(rows["sku"].to_pylist(), rows["title"].to_pylist(), strict=True):
            titles.setdefault(sku, title or "")
    return titles


def _line(row: dict[str, Any], title: str, folder: str) -> Reshoot:
    wrong, remedy = _WORDS[row["reason"]]
    is_product = row["reason"] in _WITHOUT_ANY
    photo = "" if is_product else row["subject"].removeprefix(folder)
    detail = row["detail"].replace(folder, "") if folder != "/" else row["detail"]
    return Reshoot(row["sku"], title, photo, wrong, remedy, detail)
