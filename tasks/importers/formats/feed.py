"""Product feeds in XML: RSS 2.0, RSS 1.0 and Atom with Google's namespace, streamed and without any DTD."""

import xml.parsers.expat as expat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog_schemas.errors import CatalogError
from tasks.importers import Report
from tasks.importers.formats.table import COLUMNS_MAXIMUM, FIELD_MAXIMUM

GOOGLE = "http://base.google.com/ns/1.0"
_ROOTS = ("rss", "feed", "RDF")
_ITEMS = ("item", "entry", "product")
_DEPTH_MAXIMUM = 64
_ITEM_MAXIMUM = 4 * FIELD_MAXIMUM
_CHUNK = 1 << 16
_TOKEN_MAXIMUM = 256 * _CHUNK  # of a tag or a comment, which expat holds whole
_GAP = "\x1f"


@dataclass(slots=True)
class FeedItem:
    """An item's fields in their order; `line` is that of its start tag. Google's own fields win over others."""

    line: int
    fields: dict[str, list[str]] = field(default_factory=dict)

    def first(self, *names: str) -> str:
        """The first filled value of the first of `names` that has one."""
        return next((value for name in names for value in self.fields.get(name, ()) if value), "")


def feed_items(file: Path, report: Report) -> Iterator[FeedItem]:
    """The items of a feed as they are read; of an item its direct children are looked at, and their text.

    Raises CatalogError where the file is not well-formed, is no feed, or declares a document type: entities and
    external files are never read.
    """
    reader = _Reader(file, report)
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            reader.feed(chunk)
            while reader.items:
                yield reader.items.popleft()
        reader.feed(b"", last=True)
    yield from reader.items


class _Reader:
    """Expat's events, gathered into items."""

    def __init__(self, file: Path, report: Report) -> None:
        self.file, self.report = file, report
        self.items: deque[FeedItem] = deque()
        self.depth = 0
        self.item: FeedItem | None = None
        self.item_depth = 0
        self.text: list[str] = []
        self.length = 0
        self.quiet = 0
        self.parser: Any = expat.ParserCreate(namespace_separator=_GAP)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, last: bool = False) -> None:
        self.quiet += len(chunk)
        try:
            self.parser.Parse(chunk, last)
        except (expat.ExpatError, UnicodeError, LookupError, ValueError) as error:
            raise self._fault(f"not well-formed XML: {error}") from None
        if self.quiet > _TOKEN_MAXIMUM:
            raise self._fault(f"a tag or comment has more than {_TOKEN_MAXIMUM:,} bytes")

    def _fault(self, what: str) -> CatalogError:
        return CatalogError(str(self.file), [f"line {self.parser.CurrentLineNumber}: {what}"])

    def _doctype(self, *_: Any) -> None:
        raise self._fault("declares a document type; a feed needs none, and packshot reads none")

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self.quiet = 0
        self.depth += 1
        _space, _gap, name = tag.rpartition(_GAP)
        if self.depth == 1 and name not in _ROOTS:
            raise self._fault(f"expected a feed (rss, feed or RDF), got <{name[:40]}>")
        if self.depth > _DEPTH_MAXIMUM:
            raise self._fault(f"elements lie more than {_DEPTH_MAXIMUM} deep")
        if self.item is None and name in _ITEMS and self.depth <= 3:
            self.item, self.item_depth = FeedItem(self.parser.CurrentLineNumber), self.depth
            self.length = 0
        if self.item is not None and self.depth == self.item_depth + 1:
            self.text = []

    def _data(self, data: str) -> None:
        self.quiet = 0
        if self.item is not None and self.depth == self.item_depth + 1 and self.length <= _ITEM_MAXIMUM:
            self.text.append(data)
            self.length += len(data)

    def _end(self, tag: str) -> None:
        self.quiet = 0
        self.depth -= 1
        item = self.item
        if item is None:
            return
        if self.depth == self.item_depth:
            space, _gap, name = tag.rpartition(_GAP)
            key = f"g:{name}" if space == GOOGLE else name
            if sum(map(len, item.fields.values())) < COLUMNS_MAXIMUM:
                item.fields.setdefault(key, []).append("".join(self.text).strip())
        elif self.depth < self.item_depth:
            self.item = None
            if self.length > _ITEM_MAXIMUM:
                self.report.leave_out(item.line, f"an item has more than {_ITEM_MAXIMUM:,} characters")
            else:
                self.items.append(item)
