"""Makes a Parquet catalog from a file that a shop has."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalog_schemas.errors import CatalogError
from catalog_schemas.product import CATALOG_SCHEMA

PHOTO_COLUMNS = ("references", "photos", "images", "photo", "image")
REQUIRED = ("sku", "title", "class_noun")
OPTIONAL = ("category", "brand", "locale")
SEPARATORS = ("|", ";")  # of the files in a cell
DELIMITERS = (",", ";", "\t")  # of cells: the one that the header holds most of
FIELD_MAXIMUM = 1_000_000


@dataclass(frozen=True)
class Imported:
    """How many products were written, and what a person should know about the file."""

    products: int
    remarks: tuple[str, ...]


def import_csv(file: str, out: str) -> Imported:
    """Writes the Parquet catalog `out` from a CSV with a header.

    Columns sku, title, class_noun and a photo column (`photos`, `images` or `references`) are required; the photo
    column holds a folder, or files separated by "|" or ";", relative to the CSV. category, brand and locale are taken
    as they are, every other column becomes an attribute. Rows are judged when the catalog is read, not here.
    Raises CatalogError with every fault of the file.
    """
    rows, header = _read(file)
    photos = next((name for name in PHOTO_COLUMNS if name in header), "")
    faults = [f"column {name!r} is missing" for name in REQUIRED if name not in header]
    if not photos:
        faults.append(f"a photo column is missing; expected one of {', '.join(PHOTO_COLUMNS)}")
    doubles = sorted({name for name in header if header.count(name) > 1})
    faults += [f"column {name!r} comes more than once" for name in doubles]
    if faults:
        raise CatalogError(file, faults)
    folder = Path(file).absolute().parent
    known = {*REQUIRED, *OPTIONAL, photos}
    products = [_product(row, photos, known, folder) for row in rows]
    table = pa.Table.from_pylist(products, schema=CATALOG_SCHEMA)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out)
    _grant(Path(out), folder)
    extra = [name for name in header if name not in known]
    remarks = [f"kept as attributes: {', '.join(extra)}"] if extra else []
    return Imported(len(products), tuple(remarks))


def granted_prefixes(catalog: str) -> tuple[str, ...]:
    """Folders outside the catalog's own that its photos may come from, as `import_csv` was told by being run on them.

    They stand in a file beside a local catalog, a line each; a catalog cannot grant itself anything.
    """
    grants = _grants_file(Path(catalog))
    if "://" in catalog or not grants.is_file():
        return ()
    return tuple(line for line in grants.read_text().splitlines() if line.strip())


def _grant(catalog: Path, folder: Path) -> None:
    if folder.resolve().is_relative_to(catalog.absolute().parent.resolve()):
        _grants_file(catalog).unlink(missing_ok=True)
    else:
        _grants_file(catalog).write_text(f"{folder.resolve()}\n")


def _grants_file(catalog: Path) -> Path:
    return catalog.with_name(catalog.name + ".references")


def _read(file: str) -> tuple[list[dict[str, str]], list[str]]:
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CatalogError(file, ["there is no such file"]) from None
    except (UnicodeDecodeError, OSError) as error:
        raise CatalogError(file, [f"expected text in UTF-8: {error}"]) from None
    csv.field_size_limit(FIELD_MAXIMUM)
    first = text.splitlines()[0] if text else ""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
        header = [name.strip().lower() for name in next(reader, [])]
        rows = [dict(zip(header, row, strict=False)) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CatalogError(file, [f"not readable as CSV: {error}"]) from None
    return rows, header


def _product(row: dict[str, str], photos: str, known: set[str], folder: Path) -> dict[str, object]:
    attributes = {name: value.strip() for name, value in row.items() if name not in known and value.strip()}
    return {
        **{name: row.get(name, "").strip() for name in (*REQUIRED, *OPTIONAL)},
        "references": [_located(part, folder) for part in _parts(row.get(photos, ""))],
        "masks": [],
        "attributes": attributes,
        "updated_at": None,
    }


def _parts(cell: str) -> list[str]:
    separator = next((mark for mark in SEPARATORS if mark in cell), None)
    return [part.strip() for part in (cell.split(separator) if separator else [cell]) if part.strip()]


def _located(reference: str, folder: Path) -> str:
    """Relative to the CSV becomes absolute, since the catalog may lie elsewhere."""
    return reference if "://" in reference else str(folder / reference)
