"""What a merge changes in a table, file by file: vectorised, and never more than one file in memory.

Delta's own MERGE is not used: deltalake 1.6's writes text columns as `string_view`, and readers that filter such files
through pyarrow fail ("no kernel matching input types (string, string_view)").
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_FILE = 100_000
ROWS_PER_GROUP = 10_000  # that are read together, or passed over where none of them is asked for
SMALL = ROWS_PER_FILE // 4  # rows: files of fewer are made into one where there are more of them than FILES
FILES = 20  # each is a read of its own


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows are asked for, and the columns by which that is told."""

    columns: pa.Schema
    expression: pc.Expression


class Read(Protocol):
    """The way to read a file."""

    def __call__(self, schema: pa.Schema, where: Where | None = None) -> pa.Table:
        """The columns of `schema`, in its types: of all rows, or of those that are asked for."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table, and the way to read it; `rows` is None where its writer has not said how many."""

    path: str
    rows: int | None
    read: Read


@dataclass(frozen=True, slots=True)
class Change:
    """A new file's rows, and the paths of the files that they replace; `count` rows are new or really changed."""

    rows: pa.Table
    replaces: tuple[str, ...]
    count: int


def changes(
    held: Iterable[DataFile], schema: pa.Schema, rows: pa.Table, key: str, update: tuple[str, ...]
) -> Iterator[Change]:
    """The files to write so that `held` has `rows` merged in by `key`: rewritten files first, then the new rows.

    `schema` is the table's own. `rows` has each key once; columns of `update` are scalars. Where there are too many
    small files, and anything changes at all, they go into the file of the new rows.
    """
    only_key, files = pa.schema([schema.field(key)]), list(held)
    loose = [file for file in files if file.rows is not None and file.rows < SMALL]
    loose = loose if len(loose) > FILES else []
    is_new, in_loose, has_changed = np.ones(rows.num_rows, dtype=bool), 0, False
    for file in files:
        found = pc.index_in(file.read(only_key)[key], value_set=rows[key])
        if found.null_count == len(found):
            continue
        is_new[found.drop_null().to_numpy()] = False
        after, count = _updated(file.read(schema), rows, found, update) if update else (rows, 0)
        has_changed |= count > 0
        if file in loose:
            in_loose += count
        elif count:
            yield Change(after, (file.path,), count)
    fresh = rows.filter(pa.array(is_new))
    if fresh.num_rows or has_changed:
        tables = (_merged(file.read(schema), rows, key, update) for file in loose)
        yield from _gathered(loose, tables, fresh, in_loose + fresh.num_rows)


def _gathered(loose: list[DataFile], tables: Iterator[pa.Table], fresh: pa.Table, count: int) -> Iterator[Change]:
    """The rows of small files and the new ones together, in files that are full but for the last."""
    paths, parts = list[str](), list[pa.Table]()
    for file, table in zip(loose, tables, strict=True):
        paths.append(file.path)
        parts.append(table)
        if sum(map(len, parts)) >= ROWS_PER_FILE:
            yield Change(pa.concat_tables(parts), tuple(paths), count)
            paths, parts, count = [], [], 0
    rows = pa.concat_tables([*parts, conformed(fresh, parts[0].schema)]) if parts else fresh
    for start in range(0, rows.num_rows, ROWS_PER_FILE):
        yield Change(rows.slice(start, ROWS_PER_FILE), tuple(paths), count)
        paths, count = [], 0


def _merged(held: pa.Table, rows: pa.Table, key: str, update: tuple[str, ...]) -> pa.Table:
    return _updated(held, rows, pc.index_in(held[key], value_set=rows[key]), update)[0]


def first_of_each(rows: pa.Table, key: str) -> pa.Table:
    """The rows without those whose key an earlier row has."""
    numbered = rows.select([key]).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(key).aggregate([("row", "min")])["row_min"]
    return rows if len(first) == rows.num_rows else rows.take(first.take(pc.sort_indices(first)))


def conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows in `schema`: columns in its order and types, null where the rows have none."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def parquet_bytes(rows: pa.Table) -> bytes:
    """The rows as one Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return buffer.getvalue()


def _updated(held: pa.Table, rows: pa.Table, found: pa.ChunkedArray, update: tuple[str, ...]) -> tuple[pa.Table, int]:
    """`held` with the columns of `update` taken from the row of `rows` that `found` names, and how many rows differ."""
    given = pc.is_valid(found)
    differs = pa.chunked_array([np.zeros(held.num_rows, dtype=bool)])
    for name in update:
        old, new = held[name], rows[name].take(found)
        same = pc.or_(pc.fill_null(pc.equal(old, new), False), pc.and_(pc.is_null(old), pc.is_null(new)))
        differs = pc.or_(differs, pc.and_not(given, same))
        held = held.set_column(held.schema.get_field_index(name), held.schema.field(name), pc.if_else(given, new, old))
    return held, pc.sum(differs).as_py() or 0
