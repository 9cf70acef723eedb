"""Reads a catalog in batches: a file that breaks the schema ends the run with every fault, a bad row only itself."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import CatalogError, Rejected
from catalog_schemas.product import CATALOG_SCHEMA, Product
from catalog_schemas.rejection import Reason, Rejection
from configs.reading import suggestion
from tasks.storage.catalogs import open_parquet, row_batches
from tasks.storage.keys import NAME_LENGTH, safe_name

STAGE = "read_catalog"
REQUIRED_TEXTS = ("sku", "title", "class_noun")
LENGTHS = {"sku": NAME_LENGTH, "title": 500, "class_noun": 80, "category": 500, "brand": 200, "locale": 35}
LISTED_MAXIMUM = 1_000  # references, masks or attributes of a row
ATTRIBUTE_LENGTH = 20_000
# In no text: controls, what turns the direction of text around, and U+FFFD, which stands for bytes that are no UTF-8.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ufffd]")
# In no SKU: also what languages and emojis need between letters, since two SKUs must not look the same.
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\U000e0000-\U000e0fff]"
)


@dataclass(frozen=True)
class JudgedRows:
    """Some rows of a catalog: those that hold with their numbers, and the verdicts on those that do not."""

    products: list[Product]
    rejections: list[Rejection]
    numbers: list[int]


def catalog_batches(uri: str) -> Iterator[pa.RecordBatch]:
    """The catalog's rows in `CATALOG_SCHEMA`, in their order, a bounded batch at a time; absent columns are null.

    SKUs come without blanks around them and in Unicode's composed form (NFC), so that one SKU has one spelling; of
    lists, no more than shows that they are too long.

    Raises CatalogError, listing every fault, where the file is not Parquet or its columns are not the schema's.
    """
    with open_parquet(uri) as file:
        faults = _schema_faults(file.schema_arrow)
        if faults:
            raise CatalogError(uri, faults)
        columns = [name for name in CATALOG_SCHEMA.names if name in file.schema_arrow.names]
        for batch in row_batches(file, uri, columns):
            yield _conformed(batch, uri)


class RowReader:
    """Judges rows one by one. It remembers the SKUs it has seen, so one reader serves one catalog."""

    def __init__(self, run_id: str, now: datetime) -> None:
        self.run_id, self.now = run_id, now
        self.seen: set[str] = set()

    def read(self, rows: list[dict[str, Any]], numbers: list[int]) -> JudgedRows:
        """The products of `rows`, whose numbers in the file are `numbers`.

        A row without a required field, with text too long or unprintable, or with a SKU that was seen before, becomes
        a rejection.
        """
        judged = JudgedRows([], [], [])
        for number, row in zip(numbers, rows, strict=True):
            try:
                judged.products.append(self._product(row))
                judged.numbers.append(number)
            except Rejected as verdict:
                sku = row.get("sku") if isinstance(row.get("sku"), str) else ""
                judged.rejections.append(self._rejection(sku or "", number, verdict))
        return judged

    def _product(self, row: dict[str, Any]) -> Product:
        row = {key: value.strip() if isinstance(value, str) else value for key, value in row.items()}
        for name in REQUIRED_TEXTS:
            if not row[name]:
                raise Rejected(Reason.ROW_FIELD_MISSING, f"{name} is empty, but every row needs one")
        for name, longest in LENGTHS.items():
            _check_text(name, row.get(name) or "", longest)
        _check_sku(row["sku"])
        for name in ("references", "masks", "attributes"):
            if len(row.get(name) or ()) > LISTED_MAXIMUM:
                raise Rejected(
                    Reason.ROW_FIELD_INVALID, f"{name} lists too many; at most {LISTED_MAXIMUM:,} are allowed"
                )
        attributes = {key: value or "" for key, value in (row.get("attributes") or {}).items()}
        for text in (*attributes, *attributes.values()):
            _check_length("an attribute", text, ATTRIBUTE_LENGTH)
        references = tuple(url.strip() for url in row["references"] or () if url and url.strip())
        if not references:
            raise Rejected(Reason.ROW_NO_REFERENCES, "references is empty; list photo URLs or a folder of photos")
        sku = unicodedata.normalize("NFC", row["sku"])  # as the catalog gives it; rows come from elsewhere too
        if sku in self.seen:
            raise Rejected(Reason.ROW_DUPLICATE_SKU, f"an earlier row has the SKU {sku!r}; that one is kept")
        self.seen.add(sku)
        return Product(
            sku=sku,
            title=row["title"],
            class_noun=row["class_noun"],
            references=references,
            masks=tuple((mask or "").strip() for mask in row.get("masks") or ()),
            attributes=attributes,
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
    _check_length(name, text, longest)
    _check_characters(name, text, _CONTROL)


def _check_length(name: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Rejected(
            Reason.ROW_FIELD_INVALID, f"{name} has {len(text):,} characters; at most {longest:,} are allowed"
        )


def _check_characters(name: str, text: str, unfit: re.Pattern[str]) -> None:
    odd = unfit.search(text)
    if odd:
        code = f"U+{ord(odd.group()):04X}"
        bytes_lost = ", which stands for bytes that are not UTF-8" if code == "U+FFFD" else ""
        raise Rejected(Reason.ROW_FIELD_INVALID, f"{name} holds the invisible character {code}{bytes_lost}; remove it")


def _check_sku(sku: str) -> None:
    """A SKU also names a folder, and must look like no other one."""
    _check_characters("sku", sku, _INVISIBLE)
    length = len(safe_name(sku))
    if length > NAME_LENGTH:
        detail = f"sku takes {length} bytes as the name of a folder; at most {NAME_LENGTH} are allowed, so shorten it"
        raise Rejected(Reason.ROW_FIELD_INVALID, detail)


def _shown(sku: str) -> str:
    """A hostile SKU, fit to be shown."""
    return _INVISIBLE.sub("\ufffd", sku)[:NAME_LENGTH]


def _conformed(batch: pa.RecordBatch, uri: str) -> pa.RecordBatch:
    """The batch with every column of the schema, in its type, of what anything after this can rely on."""
    columns = []
    for field in CATALOG_SCHEMA:
        if field.name not in batch.schema.names:
            columns.append(pa.nulls(len(batch), field.type))
            continue
        try:
            columns.append(_conformed_column(batch[field.name], field))
        except pa.ArrowException as error:
            came = batch.schema.field(field.name).type
            fault = f"column {field.name!r} is {came}; expected {field.type} ({' '.join(str(error).split())[:120]})"
            raise CatalogError(uri, [fault]) from None
    return pa.RecordBatch.from_arrays(columns, names=CATALOG_SCHEMA.names)


def _conformed_column(column: pa.Array, field: pa.Field) -> pa.Array:
    if pa.types.is_timestamp(field.type):
        return _moments(column, field.type)
    column = _as_map(column) if pa.types.is_struct(column.type) else column.cast(field.type)
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:  # Arrow reads text without looking at it
        column = pa.array(_decoded(column.cast(_of_bytes(field.type)).to_pylist()), field.type)
    if field.name == "sku":
        return pc.utf8_trim_whitespace(pc.utf8_normalize(column, form="NFC"))
    return pc.list_slice(column, 0, LISTED_MAXIMUM + 1) if pa.types.is_list(field.type) else column


def _as_map(column: pa.StructArray) -> pa.MapArray:
    """What pandas makes of dictionaries: a field for each key that any of them has, null where one has it not."""
    names = [field.name for field in column.type]
    rows = zip(*(values.cast(pa.string()).to_pylist() for values in column.flatten()), strict=True)
    pairs = [[(key, value) for key, value in zip(names, row, strict=True) if value is not None] for row in rows]
    return pa.array(pairs, CATALOG_SCHEMA.field("attributes").type)


def _moments(column: pa.Array, kind: pa.TimestampType) -> pa.Array:
    """Times to the microsecond; null where Python's calendar, years 1 to 9999, does not have them."""
    seconds = column.cast(pa.timestamp("s", kind.tz), safe=False)
    first, last = (pa.scalar(year, seconds.type) for year in (datetime.min, datetime.max))
    held = pc.and_(pc.greater_equal(seconds, first), pc.less(seconds, last))
    return pc.if_else(held, column, pa.scalar(None, column.type)).cast(kind, safe=False)


def _of_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with binary values in the place of text."""
    if pa.types.is_map(kind):
        return pa.map_(pa.binary(), pa.binary())
    return pa.list_(pa.binary()) if pa.types.is_list(kind) else pa.binary()


def _decoded(value: Any) -> Any:
    """Bytes as text, U+FFFD in the place of those that are not UTF-8; lists and pairs of them likewise."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return type(value)(map(_decoded, value)) if isinstance(value, list | tuple) else value


def _schema_faults(schema: pa.Schema) -> list[str]:
    faults = []
    for field in CATALOG_SCHEMA:
        if field.name not in schema.names:
            if not field.nullable:
                meant = suggestion(field.name, schema.names)
                faults.append(f"column {field.name!r} is missing; expected {field.type}{meant}")
        elif not _fits(schema.field(field.name).type, field.type):
            came = schema.field(field.name).type
            faults.append(f"column {field.name!r} is {came}; expected {field.type}")
    return faults


def _fits(came: pa.DataType, expected: pa.DataType) -> bool:
    """Whether a column's values read as the expected ones: string flavours and time units may differ."""
    if pa.types.is_null(came):  # what a writer makes of a column, or of lists, without a single value
        return True
    if pa.types.is_string(expected):
        if pa.types.is_dictionary(came):
            came = came.value_type
        return pa.types.is_string(came) or pa.types.is_large_string(came) or pa.types.is_string_view(came)
    if pa.types.is_list(expected):
        return (pa.types.is_list(came) or pa.types.is_large_list(came)) and _fits(came.value_type, expected.value_type)
    if pa.types.is_map(expected) and pa.types.is_struct(came):
        return all(_is_plain(field.type) for field in came)
    if pa.types.is_map(expected):
        return pa.types.is_map(came) and _fits(came.key_type, pa.string()) and _fits(came.item_type, pa.string())
    return pa.types.is_timestamp(came)


def _is_plain(kind: pa.DataType) -> bool:
    """Whether a value of it is one word or number, which has a text."""
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
