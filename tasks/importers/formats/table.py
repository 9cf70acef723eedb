"""Tables in text (RFC 4180 and its relatives): a header, then rows of as many cells."""

import csv
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog_schemas.errors import CatalogError
from tasks.importers import Report
from tasks.importers.formats.lines import open_lines

FIELD_MAXIMUM = 1_000_000
COLUMNS_MAXIMUM = 1_000
LINES_MAXIMUM = 1_000  # of a row: beyond it, a quote was never meant to open
ROW_MAXIMUM = 4 * FIELD_MAXIMUM
DELIMITERS = (",", ";", "\t")
_EXCELS = re.compile(r"sep=.?", re.IGNORECASE)  # a first line that tells Excel the delimiter


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

    A quote that opens by mistake costs the line that it stands in: reading goes on with the next one. The delimiter is
    the one of comma, semicolon and tab that makes most sense of the header. Raises CatalogError with every fault of the
    header.
    """
    csv.field_size_limit(FIELD_MAXIMUM)
    with open_lines(file, report.encoding) as lines:
        first, number = next(lines, ""), 1
        if _EXCELS.fullmatch(first.strip().strip('"')):
            first, number = next(lines, ""), 2
        delimiter, names = _header(first, layout)
        faults = _faults(names, layout)
        if faults:
            raise CatalogError(str(file), faults)
        for line, cells in _parsed(_Lines(lines, number + 1), delimiter, len(names), report):
            if not any(cells):
                continue
            if not any(cells[len(names) :]):
                cells = cells[: len(names)]
            if len(cells) == len(names):
                yield TableRow(line, _named(names, cells))
            else:
                report.leave_out(line, f"expected {len(names)} cells, got {len(cells)}")


class _Lines:
    """The lines after the header, as a csv reader takes them; it can be told to take a row's later lines again.

    `row` holds the lines of the row that is being read, and `number` is that of the first of them.
    """

    def __init__(self, lines: Iterator[str], number: int) -> None:
        self.lines, self.again = lines, deque[str]()
        self.row, self.number, self.length = list[str](), number, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.popleft() if self.again else next(self.lines)
        self.row.append(line)
        self.length += len(line)
        if len(self.row) > 1 and (len(self.row) > LINES_MAXIMUM or self.length > ROW_MAXIMUM):
            raise csv.Error(f"a row has more than {LINES_MAXIMUM:,} lines or {ROW_MAXIMUM:,} characters")
        return line

    def end_row(self, lines: int) -> None:
        """The row was the first `lines` of those that were taken for it; the others are yet to be read."""
        self.again.extendleft(reversed(self.row[lines:]))
        self.number += lines
        self.row, self.length = [], 0


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


def _parsed(lines: _Lines, delimiter: str, width: int, report: Report) -> Iterator[tuple[int, list[str]]]:
    """Each row's first line, and its cells."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        number, fault, cells = lines.number, "", list[str]()
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            fault = str(error)
        if not fault and _joins_rows(lines.row, delimiter, width):
            fault = f"a quote joins it with the rows up to line {number + len(lines.row) - 1}"
        if fault:
            report.leave_out(number, f"not readable as a table row: {fault}")
        lines.end_row(1 if fault else len(lines.row))
        if not fault:
            yield number, cells


def _joins_rows(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether most of a row's lines look like rows themselves: then two stray quotes, far apart, have made a pair.

    Text within a cell has blanks after its commas.
    """
    if len(lines) < 2:
        return False
    alone = [line.count(delimiter) - line.count(f"{delimiter} ") + 1 == width for line in lines]
    return alone[0] and 2 * sum(alone) > len(lines)


def _named(names: list[str], cells: list[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=True):
        row[name] = f"{row[name]},{cell}" if cell and row.get(name) else (cell or row.get(name, ""))
    row.pop("", None)
    return row
