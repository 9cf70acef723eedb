"""Tables in text (RFC 4180 and its relatives): a header, then rows of as many cells."""

import csv
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog_schemas.errors import CatalogError
from tasks.importers import Report
from tasks.importers.formats.lines import open_lines

FIELD_MAXIMUM = 1_000_000
COLUMNS_MAXIMUM = 1_000
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row by column name, cells stripped of blanks; `line` is its first line in the file."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Layout:
    """What a kind of table is known by.

    `name` makes a column's name from what the header says. `required` lists groups of names: one of each must be
    there. Columns in `repeatable` may come several times; their cells are joined with ",".
    """

    kind: str
    name: Callable[[str], str]
    required: tuple[tuple[str, ...], ...]
    repeatable: Collection[str] = ()


def table_rows(file: Path, layout: Layout, report: Report) -> Iterator[TableRow]:
    """The rows of a table; those that are not as wide as its header or not well quoted go into the report.

    The delimiter is the one of comma, semicolon and tab that makes most sense of the header. Raises CatalogError with
    every fault of the header.
    """
    csv.field_size_limit(FIELD_MAXIMUM)
    with open_lines(file) as lines:
        first = next(lines, "")
        delimiter, names = _header(first, layout)
        faults = _faults(names, layout)
        if faults:
            raise CatalogError(str(file), faults)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        for line, cells in _parsed(reader, report):
            if not any(cells):
                continue
            if not any(cells[len(names) :]):
                cells = cells[: len(names)]
            if len(cells) == len(names):
                yield TableRow(line, _named(names, cells))
            else:
                report.leave_out(line, f"expected {len(names)} cells, got {len(cells)}")


def _header(line: str, layout: Layout) -> tuple[str, list[str]]:
    """The delimiter, and the columns' names that it gives."""
    expected = {name for group in layout.required for name in group}

    def columns(delimiter: str) -> list[str]:
        try:
            return [layout.name(cell) for cell in next(csv.reader([line], delimiter=delimiter, strict=True), [])]
        except csv.Error:
            return []

    read = {delimiter: columns(delimiter) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=lambda delimiter: (len(expected & set(read[delimiter])), len(read[delimiter])))
    return best, read[best]


def _faults(names: list[str], layout: Layout) -> list[str]:
    if len(names) > COLUMNS_MAXIMUM:
        return [f"expected at most {COLUMNS_MAXIMUM} columns, got {len(names)}"]
    faults = []
    for group in layout.required:
        if not any(name in names for name in group):
            said = " or ".join(repr(name) for name in group)
            faults.append(f"column {said} is missing; every {layout.kind} has one")
    doubled = {name for name in names if name and names.count(name) > 1 and name not in layout.repeatable}
    faults += [f"column {name!r} comes more than once" for name in sorted(doubled)]
    if faults:
        shown = ", ".join(repr(name) for name in names[:12])
        faults.append(f"the header holds {shown[:300]}" + (", …" if len(names) > 12 else ""))
    return faults


def _parsed(reader: Iterator[list[str]], report: Report) -> Iterator[tuple[int, list[str]]]:
    """Each row's first line, and its cells."""
    while True:
        line = reader.line_num + 2  # type: ignore[attr-defined]  # the header is not the reader's
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = reader.line_num + 1  # type: ignore[attr-defined]
            upto = f" (up to line {last})" if last > line else ""
            report.leave_out(line, f"not readable as a table row: {error}{upto}")
        else:
            yield line, [cell.strip() for cell in cells]


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=True):
        row[name] = f"{row[name]},{cell}" if cell and row.get(name) else (cell or row.get(name, ""))
    row.pop("", None)
    return row
