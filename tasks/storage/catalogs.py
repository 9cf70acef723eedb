"""Catalog files: Parquet from anywhere, measured before it is read, streamed in bounded batches."""

import errno
import faulthandler
import os
import pickle
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from catalog_schemas.errors import CatalogError
from catalog_schemas.identity import bytes_id
from tasks.storage.clouds import SCHEMES, filesystem
from tasks.storage.faults import ObjectMissing, attempt, translate

ROWS_MAXIMUM = 20_000_000
COLUMNS_MAXIMUM = 1_000
VALUES_MAXIMUM = 50_000_000  # of one column in one row group: a list of a row may hold any number
BATCH_BYTES_MAXIMUM = 64 * 2**20  # of text, once decoded: a few bytes of a file can stand for a terabyte
VALUE_BYTES = 64  # what a value of a list takes once it is Python's, besides its text
_TEXT = "BYTE_ARRAY"
_readable_before: set[str] = set()  # hashes of footers


def open_parquet(uri: str, rows_maximum: int = ROWS_MAXIMUM) -> pq.ParquetFile:
    """A catalog file, opened and measured but not read: stream it with `row_batches`. The caller closes it.

    Raises CatalogError where it is missing, empty, not (whole) Parquet, beyond the caps of rows, columns and values,
    or names a column twice; StoreError where the storage failed.
    """
    scheme = _scheme(uri)
    if "::" in uri or (scheme and scheme not in SCHEMES):
        raise CatalogError(uri, ["expected a path, file://, s3://, gs://, az:// or abfs://, got another kind of URL"])
    try:
        source = attempt(lambda: _opened(uri), uri)
    except ObjectMissing:
        raise CatalogError(uri, ["expected a Parquet file, found none; check the path"]) from None
    try:
        with _catalog_faults(uri):
            file = pq.ParquetFile(source)
            names = file.schema_arrow.names
    except CatalogError:
        if _is_another_kind(uri):
            makes = "packshot import csv FILE --out catalog.parquet makes a catalog of a table"
            raise CatalogError(uri, [f"expected a Parquet file, got none; {makes}"]) from None
        raise
    if not _readable(file.metadata):
        file.close(force=True)
        raise CatalogError(uri, ["expected a whole Parquet file, got a damaged one (its footer describes no columns)"])
    faults = _beyond_caps(file.metadata, rows_maximum)
    faults += [f"expected one column {name!r}, got {count}" for name, count in Counter(names).items() if count > 1]
    if faults:
        file.close(force=True)
        raise CatalogError(uri, faults)
    return file


def row_batches(
    file: pq.ParquetFile, uri: str, columns: list[str] | None = None, rows: int = 10_000
) -> Iterator[pa.RecordBatch]:
    """The rows of an opened catalog in batches of at most `rows`, fewer where their text is long.

    Text stays as the file encodes it until its decoded size is known, so memory stays bounded. Raises CatalogError
    where the file is damaged.
    """
    text = [column.path for column in map(file.schema.column, range(len(file.schema))) if column.physical_type == _TEXT]
    with _catalog_faults(uri):
        compact = pq.ParquetFile(_opened(uri), metadata=file.metadata, read_dictionary=text)
        # A row group at a time: Arrow cannot give lists of encoded text in a batch of two row groups.
        batches = (
            batch
            for group in range(compact.num_row_groups)
            for batch in compact.iter_batches(rows, [group], columns, use_threads=not _scheme(uri))
        )
    try:
        while True:
            with _catalog_faults(uri):
                batch = next(batches, None)
                if batch is None:
                    return
                parts = list(_parts(batch, uri))
            schema = pa.schema([(name, _plain(file.schema_arrow.field(name).type)) for name in batch.schema.names])
            for part in parts:
                yield pa.record_batch(
                    [array.cast(field.type) for array, field in zip(part, schema, strict=True)], schema
                )
    finally:
        compact.close(force=True)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with text in the place of views of text, which Arrow makes of no encoded text."""
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain(kind.value_type))
    return pa.string() if pa.types.is_string_view(kind) else kind


def _parts(batch: pa.RecordBatch, uri: str) -> Iterator[pa.RecordBatch]:
    """The batch in pieces whose decoded text fits into memory."""
    if sum(_text_bytes(column) for column in batch.columns) <= BATCH_BYTES_MAXIMUM:
        yield batch
    elif batch.num_rows > 1:
        half = batch.num_rows // 2
        yield from _parts(batch.slice(0, half), uri)
        yield from _parts(batch.slice(half), uri)
    else:
        raise CatalogError(
            uri, [f"expected at most {BATCH_BYTES_MAXIMUM} bytes of text and lists in a row, got more; shorten it"]
        )


def _text_bytes(array: pa.Array) -> int:
    """How many bytes the text and the lists of an array take once each value stands for itself."""
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary)
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    if pa.types.is_map(array.type):
        first, last = array.offsets[0].as_py(), array.offsets[-1].as_py()  # keys and items are those of the whole array
        keys, items = array.keys[first:last], array.items[first:last]
        return VALUE_BYTES * len(keys) + _text_bytes(keys) + _text_bytes(items)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        values = array.flatten()
        return VALUE_BYTES * len(values) + _text_bytes(values)
    if pa.types.is_struct(array.type):
        return sum(_text_bytes(child) for child in array.flatten())
    return 0


def _beyond_caps(shape: pq.FileMetaData, rows_maximum: int) -> list[str]:
    faults = []
    if shape.num_rows > rows_maximum or shape.num_columns > COLUMNS_MAXIMUM:
        limits = f"at most {rows_maximum} rows and {COLUMNS_MAXIMUM} columns"
        faults.append(f"expected {limits}, got {shape.num_rows} and {shape.num_columns}; split the file")
    elif any(values > VALUES_MAXIMUM for values in _values(shape)):
        faults.append(f"expected at most {VALUES_MAXIMUM} values of a column in a row group, got more; split the file")
    return faults


def _readable(shape: pq.FileMetaData) -> bool:
    """Whether the process lives after a look at every column: at some damaged ones Arrow aborts, and raises nothing.

    So a child looks first. It does nothing else between fork and end, so that other threads' locks cannot stop it. What
    was readable is remembered: a run opens its catalog several times, and a fork copies the page table of a process
    that has loaded much.
    """
    footer = bytes_id(pickle.dumps(shape))
    if footer in _readable_before:
        return True
    child = os.fork()
    if not child:
        try:
            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where Arrow says why
            list(_values(shape))
            os._exit(0)
        finally:
            os._exit(1)
    readable = os.waitpid(child, 0)[1] == 0
    if readable:
        _readable_before.add(footer)
    return readable


def _values(shape: pq.FileMetaData) -> Iterator[int]:
    for group in map(shape.row_group, range(shape.num_row_groups)):
        yield from (group.column(number).num_values for number in range(group.num_columns))


def _is_another_kind(uri: str) -> bool:
    """Whether it is a file of another kind, not a damaged or empty one: neither of its ends is as Parquet's are."""
    with _catalog_faults(uri), _opened(uri) as source:
        first = source.read(4)
        source.seek(-len(first), os.SEEK_END)
        return bool(first) and b"PAR1" not in (first, source.read(4))


def _opened(uri: str) -> Any:
    if scheme := _scheme(uri):
        return filesystem(scheme).open(uri, "rb")
    path = uri.removeprefix("file://")
    if os.path.isdir(path):  # noqa: PTH112
        raise FileNotFoundError(errno.ENOENT, "is a folder", path)
    return pa.OSFile(path)


@contextmanager
def _catalog_faults(uri: str) -> Iterator[None]:
    """What Arrow says of a damaged file, as a CatalogError; what the storage under it says, as a StoreError."""
    try:
        yield
    except (pa.ArrowException, EOFError, ValueError) as error:
        raise CatalogError(uri, [f"expected a whole Parquet file, got a damaged one ({_line(error)})"]) from None
    except OSError as error:
        if error.errno is None and type(error) is OSError:  # Arrow's own, such as "Corrupt snappy compressed data"
            raise CatalogError(uri, [f"expected a whole Parquet file, got a damaged one ({_line(error)})"]) from None
        raise translate(error, uri) from None


def _scheme(uri: str) -> str:
    scheme, separator, _ = uri.partition("://")
    return scheme if separator and scheme != "file" else ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
