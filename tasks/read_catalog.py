"""Reads a catalog in batches: a file that breaks the schema ends the run with every fault, a bad row only itself."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from catalog_schemas.errors import CatalogError, Rejected
from catalog_schemas.product import CATALOG_SCHEMA, Product
from catalog_schemas.rejection import Reason, Rejection
from tasks.storage.sources import open_parquet, row_batches

STAGE = "read_catalog"
REQUIRED_TEXTS = ("sku", "title", "class_noun")
LENGTHS = {"sku": 128, "title": 500, "class_noun": 80, "category": 500, "brand": 200, "locale": 35}
_INVISIBLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class Verdicts:
    """Some rows of a catalog: those that hold, and the verdicts on those that do not."""

    products: list[Product]
    rejections: list[Rejection]


def catalog_batches(uri: str) -> Iterator[pa.RecordBatch]:
    """The catalog's rows in `CATALOG_SCHEMA`, in their order, a bounded batch at a time; absent columns are null.

    Raises CatalogError, listing every fault, where the file is not Parquet or its columns are not the schema's.
    """
    with open_parquet(uri) as file:
        faults = _schema_faults(file.schema_arrow)
        if faults:
            raise CatalogError(uri, faults)
        columns = [name for name in CATALOG_SCHEMA.names if name in file.schema_arrow.names]
        for batch in row_batches(file, uri, columns):
            yield _conformed(batch)


class RowReader:
    """Judges rows one by one. It remembers the SKUs it has seen, so one reader serves one catalog."""

    def __init__(self, run_id: str, now: datetime) -> None:
        self.run_id, self.now = run_id, now
        self.seen: set[str] = set()

    def read(self, rows: list[dict[str, Any]], numbers: list[int]) -> Verdicts:
        """The products of `rows`, whose numbers in the file are `numbers`.

        A row without a required field, with text too long or unprintable, or with a SKU that was seen before, becomes
        a rejection.
        """
        verdicts = Verdicts([], [])
        for number, row in zip(numbers, rows, strict=True):
            try:
                verdicts.products.append(self._product(row))
            except Rejected as verdict:
                sku = row.get("sku") if isinstance(row.get("sku"), str) else ""
                verdicts.rejections.append(self._rejection(sku or "", number, verdict))
        return verdicts

    def _product(self, row: dict[str, Any]) -> Product:
        row = {key: value.strip() if isinstance(value, str) else value for key, value in row.items()}
        for name in REQUIRED_TEXTS:
            if not row[name]:
                raise Rejected(Reason.ROW_FIELD_MISSING, f"{name} is empty, but every row needs one")
        for name, longest in LENGTHS.items():
            _check_text(name, row.get(name) or "", longest)
        references = tuple(url.strip() for url in row["references"] or () if url and url.strip())
        if not references:
            raise Rejected(Reason.ROW_NO_REFERENCES, "references is empty; list photo URLs or a folder of photos")
        sku = unicodedata.normalize("NFC", row["sku"])
        if sku in self.seen:
            raise Rejected(Reason.ROW_DUPLICATE_SKU, f"an earlier row has the SKU {sku!r}; that one is kept")
        self.seen.add(sku)
        return Product(
            sku=sku,
            title=row["title"],
            class_noun=row["class_noun"],
            references=references,
            masks=tuple((mask or "").strip() for mask in row.get("masks") or ()),
            attributes={key: value or "" for key, value in (row.get("attributes") or {}).items()},
            category=row.get("category") or "",
            brand=row.get("brand") or "",
            locale=row.get("locale") or "",
            updated_at=row.get("updated_at"),
        )

    def _rejection(self, sku: str, number: int, verdict: Rejected) -> Rejection:
        label = f"row {number}" if not sku else f"row {number}, SKU {_shown(sku)}"
        subject = f"row {number}"
        return Rejection(
            _shown(sku), STAGE, verdict.reason, subject, f"{label}: {verdict.detail}", self.run_id, self.now
        )


def _check_text(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Rejected(Reason.ROW_FIELD_INVALID, f"{name} has {len(text):,} characters; at most {longest} are allowed")
    odd = _INVISIBLE.search(text)
    if odd:
        code = f"U+{ord(odd.group()):04X}"
        raise Rejected(Reason.ROW_FIELD_INVALID, f"{name} holds the invisible character {code}; remove it")


def _shown(sku: str) -> str:
    """A hostile SKU, fit to be shown."""
    return _INVISIBLE.sub("\ufffd", sku)[:128]


def _conformed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with every column of the schema, in its type."""
    columns = [
        batch[field.name].cast(field.type) if field.name in batch.schema.names else pa.nulls(len(batch), field.type)
        for field in CATALOG_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, names=CATALOG_SCHEMA.names)


def _schema_faults(schema: pa.Schema) -> list[str]:
    faults = []
    for field in CATALOG_SCHEMA:
        if field.name not in schema.names:
            if not field.nullable:
                faults.append(f"column {field.name!r} is missing; expected {field.type}")
        elif not _fits(schema.field(field.name).type, field.type):
            came = schema.field(field.name).type
            faults.append(f"column {field.name!r} is {came}; expected {field.type}")
    return faults


def _fits(came: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a column's values read as the expected ones: string flavours and time units may differ."""
    if pa.types.is_string(expected):
        if pa.types.is_dictionary(came):
            came = came.value_type
        return pa.types.is_string(came) or pa.types.is_large_string(came) or pa.types.is_string_view(came)
    if pa.types.is_list(expected):
        return (pa.types.is_list(came) or pa.types.is_large_list(came)) and _fits(came.value_type, expected.value_type)
    if pa.types.is_map(expected):
        return pa.types.is_map(came) and _fits(came.key_type, pa.string()) and _fits(came.item_type, pa.string())
    return pa.types.is_timestamp(came) or pa.types.is_null(came)
