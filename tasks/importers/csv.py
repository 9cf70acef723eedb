"""A table of the shop's own: a header, a product a row, separated by commas, semicolons or tabs."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from catalog_schemas.product import Product
from tasks.importers import Found, Report
from tasks.importers.formats.html import decoded
from tasks.importers.formats.table import Layout, TableRow, table_rows

PHOTO_COLUMNS = ("references", "photos", "images", "photo", "image")
TEXT_COLUMNS = ("sku", "title", "class_noun", "category", "brand", "locale")
# A ";" goes on with a URL where "name=" follows; a "," may be part of a name, but for a blank after a file's ending.
_SEPARATORS = re.compile(
    r"[|\n]|;(?![\w.%-]+=)|,(?=\s*[a-zA-Z][a-zA-Z0-9+.-]*://)|(?:(?<=\.\w{3})|(?<=\.\w{4})),(?=\s)"
)


def products(file: Path, report: Report) -> Iterator[Found]:
    """A product a row.

    sku, title and a photo column are required, and a class_noun or a category. A photo column holds a folder, or files
    or URLs separated by "|", ";", line breaks or ", "; so does `masks`, with nothing for a photo that has none. Every
    column that the catalog does not know becomes an attribute.
    """
    layout = Layout(
        "catalog in CSV",
        _column,
        (("sku",), ("title",), ("class_noun", "category"), PHOTO_COLUMNS),
    )
    for row in table_rows(file, layout, report):
        yield _found(row, report)


def parse_time(text: str) -> datetime | None:
    """An ISO 8601 time, in UTC unless it says otherwise; None where it is none."""
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_of(name: str, text: str) -> str:
    """A field's text as a person would read it; a SKU is what the shop's system says."""
    return text if name == "sku" else decoded(text)


def _column(cell: str) -> str:
    name = " ".join(cell.lower().split())
    joined = name.replace(" ", "_")
    return joined if joined in (*TEXT_COLUMNS, "updated_at") else name


def _found(row: TableRow, report: Report) -> Found:
    cells = row.cells
    photos = next(name for name in PHOTO_COLUMNS if name in cells)
    known = {*TEXT_COLUMNS, photos, "masks", "updated_at"}
    updated_at = parse_time(cells["updated_at"]) if cells.get("updated_at") else None
    if cells.get("updated_at") and updated_at is None:
        report.remark(row.line, "rows whose updated_at is no ISO 8601 time, and was left empty")
    references = _parts(cells[photos])
    if any("," in photo and "://" not in photo for photo in references):
        report.remark(row.line, "rows with a comma in a photo's name, taken as it is; between photos write |")
    product = Product(
        **{name: text_of(name, cells.get(name, "")) for name in TEXT_COLUMNS},
        references=references,
        masks=_masks(cells.get("masks", ""), len(references)),
        attributes={name: cell for name, cell in cells.items() if name not in known and cell},
        updated_at=updated_at,
    )
    return Found(row.line, product, (product.category,))


def _masks(cell: str, photos: int) -> tuple[str, ...]:
    """The masks of so many photos: "a.png|" has none for the second of two."""
    beside = _split(cell)
    return beside if any(beside) and len(beside) == photos else tuple(filter(None, beside))


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, _split(cell)))


def _split(cell: str) -> tuple[str, ...]:
    return tuple(text.strip() for text in _SEPARATORS.split(cell))
