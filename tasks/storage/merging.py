"""What a merge changes in a table, file by file: vectorised, and never more than one file in memory.

Delta's own MERGE is not used: deltalake 1.6's writes text columns as `string_view`, and readers that filter such files
through pyarrow fail ("no kernel matching input types (string, string_view)").
"""

import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_FILE = 100_000


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table, and the way to read columns of it in the schema that is asked for."""

    path: str
    read: Callable[[pa.Schema], pa.Table]


@dataclass(frozen=True, slots=True)
class Change:
    """A new file's rows, and the path of the file that they replace; "" where they are new."""

    rows: pa.Table
    replaces: str
    count: int


def changes(
    held: Iterable[DataFile], schema: pa.Schema, rows: pa.Table, key: str, update: tuple[str, ...]
) -> Iterator[Change]:
    """The files to write so that `held` has `rows` merged in by `key`: rewritten files first, then the new rows.

    `schema` is the table's own. `count` is the number of rows that a file adds or really changes. `rows` has each key
    once; columns of `update` are scalars.
    """
    only_key = pa.schema([schema.field(key)])
    is_new = np.ones(rows.num_rows, dtype=bool)
    for file in held:
        found = pc.index_in(file.read(only_key)[key], value_set=rows[key])
        if found.null_count == len(found):
            continue
        is_new[found.drop_null().to_numpy()] = False
        if update:
            after, count = _updated(file.read(schema), rows, found, update)
            if count:
                yield Change(after, file.path, count)
    fresh = rows.filter(pa.array(is_new))
    for start in range(0, fresh.num_rows, ROWS_PER_FILE):
        part = fresh.slice(start, ROWS_PER_FILE)
        yield Change(part, "", part.num_rows)


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
    pq.write_table(rows, buffer, compression="zstd")
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
