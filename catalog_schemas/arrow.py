"""The Arrow schema of a record, read off its annotations, and the way from records to a table and back."""

import dataclasses
import types
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

SCHEMA_VERSION = 1
_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    datetime: pa.timestamp("us", tz="UTC"),
}
Record = TypeVar("Record")


@cache
def schema_of(record: type) -> pa.Schema:
    """The schema of a record dataclass: a field per column; `X | None` is nullable, `tuple[X, ...]` a list."""
    hints = get_type_hints(record)
    fields = [_field(f.name, hints[f.name]) for f in dataclasses.fields(record)]
    return pa.schema(
        fields, metadata={"packshot.schema": record.__name__, "packshot.schema_version": str(SCHEMA_VERSION)}
    )


def to_table(record: type, rows: Iterable[Any]) -> pa.Table:
    """A table of records of one type; empty where there are none."""
    names = [f.name for f in dataclasses.fields(record)]
    return pa.Table.from_pylist([{n: getattr(row, n) for n in names} for row in rows], schema=schema_of(record))


def from_table(record: type[Record], table: pa.Table) -> list[Record]:
    """The records of a table; columns that the record does not know are left out."""
    names = [f.name for f in dataclasses.fields(record)]  # type: ignore[arg-type]
    return [from_dict(record, row) for row in table.select(names).to_pylist()]


def from_dict(record: type[Record], row: dict[str, Any]) -> Record:
    """A record from plain JSON values; lists become tuples."""
    return record(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})


def _field(name: str, hint: Any) -> pa.Field:
    nullable = get_origin(hint) in (Union, types.UnionType)
    if nullable:
        (hint,) = (arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is tuple:
        return pa.field(name, pa.list_(_SCALARS[get_args(hint)[0]]), nullable=nullable)
    kind = next((_SCALARS[base] for base in hint.__mro__ if base in _SCALARS), None)
    assert kind is not None, f"{name}: no Arrow type for {hint}"
    return pa.field(name, kind, nullable=nullable)
