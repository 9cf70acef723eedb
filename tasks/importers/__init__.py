"""The kinds of file that a catalog is made from: one file each, found by its name on the command line.

An importer is a module with `products(file, report)`, which yields what it finds as it reads, so that a file of any
length takes little memory. It names what it found and judges nothing: fields stay as the shop wrote them, and
`tasks/import_catalog.py` gives class nouns, judges and writes. To add a kind, add a file here; `formats/` holds what
several of them read. What an importer cannot make sense of goes into the report, with its line, and the import goes
on; a file that is not of its kind raises CatalogError with every fault.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from catalog_schemas.product import Product
from tasks.runtime.by_name import find, names_in

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Found:
    """A product and where it stands in the file.

    `line` counts from 1. `product.class_noun` is empty where the file names none: it then follows from `categories`,
    of which those that say what the product is come first. Photos are URLs, or paths relative to the file.
    """

    line: int
    product: Product
    categories: tuple[str, ...] = ()


@dataclass
class Report:
    """What a person should know about the file: bounded, however bad the file is; and what a person knows about it, the
    `encoding` of its text where that is neither UTF-8 nor UTF-16."""

    encoding: str = ""
    left_out: int = 0
    examples: list[str] = field(default_factory=list)
    remarks: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def leave_out(self, line: int, why: str) -> None:
        """A row that could not be read; the first ones are told in full."""
        self.left_out += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"line {line}: {why}")

    def remark(self, line: int, what: str, count: int = 1) -> None:
        """Something that was decided for the user; `what` is one of a few sentences, counted, with its first line."""
        self.remarks[what] += count
        self.first.setdefault(what, line)

    def lines(self) -> tuple[str, ...]:
        """The remarks as sentences."""
        return tuple(f"{what}: {count:,} (first: line {self.first[what]})" for what, count in self.remarks.items())


class Importer(Protocol):
    """The contract of a file in this folder."""

    @staticmethod
    def products(file: Path, report: Report) -> Iterator[Found]:
        """The products of `file` in its order. Raises CatalogError where the file is not of this kind."""


def kinds() -> list[str]:
    """The names of the importers, without loading them."""
    return names_in(__name__)


def find_importer(kind: str) -> Importer:
    """The importer of that name; ConfigError where there is no such file, or where it lacks what `Importer` asks."""
    return cast(Importer, find(__name__, kind, "import", Importer))
