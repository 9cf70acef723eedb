"""Text files line by line: UTF-8, UTF-16 or as somebody says, any newlines, and no line too long to hold."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from catalog_schemas.errors import CatalogError

LINE_MAXIMUM = 8_000_000
_BINARY = {
    b"PK\x03\x04": "a zip or Excel file; save the sheet as CSV, or unpack it",
    b"PAR1": "a Parquet file; packshot reads those without an import",
    b"\x1f\x8b": "a gzip file; unpack it",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF file",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV",
}
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def open_lines(file: Path, encoding: str = "") -> Iterator[Iterator[str]]:
    """The lines of a text file with their own line ends; CR, LF and CR LF all end one.

    Without an `encoding` that is UTF-8, or UTF-16 with its mark. Bytes that are not come as lone surrogates, so that
    only their row is lost; a longer line than LINE_MAXIMUM characters is cut there. Raises CatalogError where there is
    no such file, or it is no text.
    """
    found = _encoding(file, encoding)
    with file.open(encoding=found, errors="surrogateescape", newline="") as text:
        yield _lines(text, file)


def _lines(text: TextIO, file: Path) -> Iterator[str]:
    number = 0
    try:
        while line := text.readline(LINE_MAXIMUM):
            number += 1
            yield line
            while len(line) == LINE_MAXIMUM and line[-1] not in "\r\n":
                line = text.readline(LINE_MAXIMUM)
    except UnicodeError as error:
        raise CatalogError(str(file), [f"line {number + 1}: not readable as text: {error}"]) from None


def _encoding(file: Path, said: str) -> str:
    head = file_head(file)
    if not head.strip():
        raise CatalogError(str(file), ["the file is empty"])
    for start, what in _BINARY.items():
        if head.startswith(start):
            raise CatalogError(str(file), [f"expected text, got {what}"])
    if said:
        return said
    if head.startswith(_UTF16):
        return "utf-16"
    if head.count(0) * 5 > len(head):
        raise CatalogError(str(file), ["expected text in UTF-8, got a binary file or UTF-16 without its mark"])
    return "utf-8-sig"


def file_head(file: Path, size: int = 4096) -> bytes:
    """The first bytes of a file; CatalogError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(size)
    except FileNotFoundError:
        raise CatalogError(str(file), ["there is no such file"]) from None
    except (OSError, ValueError) as error:
        raise CatalogError(str(file), [f"cannot be read: {error}"]) from None
