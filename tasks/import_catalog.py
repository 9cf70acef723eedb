"""Makes a Parquet catalog from a file that a shop has, whatever its kind, in bounded memory.

An importer (`tasks/importers/`) finds the products; here they get their class nouns, are judged as a run will judge
them, so that the shop hears of its lines, and are written. A row that a run would refuse is written too: the run
records why. Only what cannot be read at all is left out, and told.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalog_schemas.errors import CatalogError, ConfigError, StoreError
from catalog_schemas.product import CATALOG_SCHEMA, Product
from configs.class_nouns import ClassNouns, load_class_nouns
from tasks.importers import EXAMPLES, Found, Report, find_importer
from tasks.read_catalog import RowReader
from tasks.runtime.replacing import replacing

ROW_GROUP_ROWS = 20_000
ROW_GROUP_CHARACTERS = 64_000_000
ATTRIBUTE_MAXIMUM = 20_000
REFERENCES_MAXIMUM = 1_000
CATEGORIES_TOLD = 1_000


@dataclass
class NounReport:
    """How categories became class nouns: products by category, those of `inferred` with the noun they were given."""

    mapped: int = 0
    inferred: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def count(self, found: Found, noun: str, category: str, how: str) -> None:
        """Counts a product under its category; beyond CATEGORIES_TOLD kinds of them, under "…"."""
        if how == "mapped":
            self.mapped += 1
            return
        key = category[:200] if len(self.unknown) + len(self.inferred) < CATEGORIES_TOLD else "…"
        if how == "inferred":
            self.inferred[key, noun if key != "…" else "…"] += 1
        else:
            self.unknown[key] += 1
            self.first.setdefault(key, f"line {found.line}, SKU {found.product.sku[:128]}")


@dataclass(frozen=True)
class Imported:
    """What was written, and what a person should know about it.

    `left_out` rows could not be read. `refused` counts the written rows that a run sets aside, by reason code.
    """

    products: int
    left_out: int
    refused: dict[str, int]
    examples: tuple[str, ...]
    nouns: NounReport
    remarks: tuple[str, ...]


def import_catalog(
    kind: str, file: str, out: str, nouns: str = "", encoding: str = "", rows_per_group: int = ROW_GROUP_ROWS
) -> Imported:
    """Writes the Parquet catalog `out` from `file`, which is of `kind` (`tasks.importers.kinds()`).

    `nouns` is a file of class nouns over the shipped ones, `encoding` that of the file's text where it is neither UTF-8
    nor UTF-16 with its mark, by a name of Python's. At most `rows_per_group` products are held at once. `out` is
    replaced only once everything is read. Raises CatalogError with every fault of a file that is not of its kind or
    holds no product, ConfigError for `nouns` and `encoding`, and StoreError where `out` cannot be written.
    """
    if "://" in file or "://" in out:
        raise CatalogError(file, ["an import reads and writes local files; copy the file here, and the catalog there"])
    source, catalog = Path(file), Path(out)
    importer, mapping = find_importer(kind), load_class_nouns(*filter(None, [nouns]))
    run = _Run(source.absolute().parent, mapping, _known(encoding))
    with _replaced(catalog, source) as fresh, pq.ParquetWriter(fresh, CATALOG_SCHEMA) as writer:
        for batch in _batches(run.products(importer.products(source, run.report)), rows_per_group):
            writer.write_batch(batch)
        if not run.written:
            raise CatalogError(file, ["no product was found", *run.report.examples])
    _grant(catalog, run.folder if run.local else None)
    return Imported(
        products=run.written,
        left_out=run.report.left_out,
        refused=dict(run.refused),
        examples=tuple((run.report.examples + run.refusals)[: 2 * EXAMPLES]),
        nouns=run.nouns,
        remarks=(*run.report.lines(), *run.photo_remarks()),
    )


def granted_prefixes(catalog: str) -> tuple[str, ...]:
    """Folders outside the catalog's own that its photos may come from: those of the files it was imported from.

    They stand in a file beside a local catalog, a line each; a catalog cannot grant itself anything, and web addresses
    are the configuration's to allow.
    """
    grants = _grants_file(Path(catalog))
    if "://" in catalog or not grants.is_file():
        return ()
    return tuple(line for line in grants.read_text().splitlines() if line.strip() and "://" not in line)


class _Run:
    """One import: it counts what passes through."""

    def __init__(self, folder: Path, mapping: ClassNouns, encoding: str) -> None:
        self.folder, self.mapping = folder, mapping
        self.report, self.nouns = Report(encoding), NounReport()
        self.judge = RowReader("import", datetime.now(UTC))
        self.refused: Counter[str] = Counter()
        self.refusals: list[str] = []
        self.written = self.local = self.web = 0

    def products(self, found: Iterator[Found]) -> Iterator[Product]:
        for one in found:
            product = self._completed(one)
            if not _is_text(product):
                self.report.leave_out(one.line, self._no_text())
                continue
            self._judge(one.line, product)
            self.written += 1
            yield product

    def _no_text(self) -> str:
        if self.report.encoding:
            return f"holds bytes that are not {self.report.encoding}"
        return (
            "holds bytes that are not UTF-8; save the file as UTF-8, in Excel as 'CSV UTF-8', or name its encoding: "
            "--encoding cp1252 is Excel's in western Europe"
        )

    def photo_remarks(self) -> Iterator[str]:
        if self.web:
            yield (
                f"products with photos on the web: {self.web:,}; a run refuses these photos (reference_forbidden) "
                "unless catalog.reference_prefixes of its configuration allows their hosts"
            )

    def _completed(self, found: Found) -> Product:
        product = found.product
        noun = " ".join(product.class_noun.split())
        if not noun:
            named = self.mapping.noun_for(found.categories, product.title)
            noun = named.text
            self.nouns.count(found, noun, named.category, named.how)
        photos = product.references
        if len(photos) > REFERENCES_MAXIMUM:
            self.report.remark(found.line, f"rows with more than {REFERENCES_MAXIMUM:,} photos, cut there")
            photos = photos[:REFERENCES_MAXIMUM]
        web = any(photo.lower().startswith(("http://", "https://")) for photo in photos)
        self.web += web
        self.local += any("://" not in photo for photo in photos)
        located = tuple(_located(photo, self.folder) for photo in photos)
        if any(_is_elsewhere(photo, self.folder) for photo in located):
            self.report.remark(
                found.line,
                "rows with photos outside this file's folder; a run refuses them (reference_forbidden) unless "
                "catalog.reference_prefixes of its configuration names their folder",
            )
        attributes = product.attributes
        if any(len(text) > ATTRIBUTE_MAXIMUM for text in attributes.values()):
            self.report.remark(found.line, f"rows with attributes of over {ATTRIBUTE_MAXIMUM:,} characters, cut there")
            attributes = {name: text[:ATTRIBUTE_MAXIMUM] for name, text in attributes.items()}
        return replace(
            product,
            class_noun=noun,
            references=located,
            masks=tuple(mask and _located(mask, self.folder) for mask in product.masks[:REFERENCES_MAXIMUM]),
            attributes=attributes,
        )

    def _judge(self, line: int, product: Product) -> None:
        """Tells what a run will say of the row, with the line that only the file has."""
        row = {name: getattr(product, name) for name in CATALOG_SCHEMA.names}
        for rejection in self.judge.read([row], [line]).rejections:
            self.refused[rejection.reason] += 1
            if len(self.refusals) < EXAMPLES:
                self.refusals.append(f"line {rejection.detail.removeprefix('row ')} ({rejection.reason})")


def _batches(products: Iterator[Product], rows_maximum: int) -> Iterator[pa.RecordBatch]:
    """Row groups: bounded in rows and in text."""
    rows: list[Product] = []
    characters = 0
    for product in products:
        rows.append(product)
        characters += len(product.title) + sum(map(len, product.references)) + sum(map(len, product.masks))
        characters += sum(len(name) + len(text) for name, text in product.attributes.items())
        if len(rows) >= rows_maximum or characters >= ROW_GROUP_CHARACTERS:
            yield _batch(rows)
            rows, characters = [], 0
    if rows:
        yield _batch(rows)


def _batch(rows: list[Product]) -> pa.RecordBatch:
    columns: list[pa.Array] = []
    for column in CATALOG_SCHEMA:
        values: list[Any] = [getattr(row, column.name) for row in rows]
        if pa.types.is_map(column.type):
            values = [list(value.items()) for value in values]
        columns.append(pa.array(values, type=column.type))
    return pa.RecordBatch.from_arrays(columns, schema=CATALOG_SCHEMA)


def _known(encoding: str) -> str:
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise ConfigError(
            f"no encoding {encoding!r}; expected a name of Python's, such as cp1252, mac-roman or shift-jis"
        ) from None
    return encoding


def _is_text(product: Product) -> bool:
    """Whether Parquet can hold it: a lone surrogate stands for a byte that was no UTF-8."""
    texts = [product.sku, product.title, product.class_noun, product.category, product.brand, product.locale]
    texts += [*product.references, *product.masks, *product.attributes, *product.attributes.values()]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _located(reference: str, folder: Path) -> str:
    """Relative to the file becomes absolute, since the catalog may lie elsewhere; Windows' backslashes are slashes."""
    if "\\" in reference and "/" not in reference:
        reference = reference.replace("\\", "/")
    return reference if "://" in reference or "::" in reference else os.path.join(folder, reference)  # noqa: PTH118


def _is_elsewhere(located: str, folder: Path) -> bool:
    """Whether a local photo lies outside the folder, as its path reads: a run follows links, too."""
    return "://" not in located and "::" not in located and not Path(os.path.normpath(located)).is_relative_to(folder)


@contextmanager
def _replaced(out: Path, source: Path) -> Iterator[Path]:
    """A path to write to, which becomes `out` if all goes well and is gone otherwise."""
    if out.absolute() == source.absolute():
        raise CatalogError(str(source), ["--out is the file itself; write the catalog elsewhere"])
    try:
        with replacing(out) as fresh:
            yield fresh
    except OSError as error:
        raise StoreError(f"{out}: expected a file that can be written, got {error}") from error


def _grant(catalog: Path, folder: Path | None) -> None:
    grants = _grants_file(catalog)
    if folder and not folder.resolve().is_relative_to(catalog.absolute().parent.resolve()):
        grants.write_text(f"{folder.resolve()}\n")
    else:
        grants.unlink(missing_ok=True)


def _grants_file(catalog: Path) -> Path:
    return catalog.with_name(catalog.name + ".references")
