"""What holds for a store at every moment, whoever was killed: the checker of this suite."""

from collections import Counter
from collections.abc import Collection
from typing import Any

import pyarrow as pa
from cachetools import LRUCache

from catalog_schemas.identity import bytes_id
from tasks.storage.merging import Where
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.table_rows import TABLES
from tasks.storage.tables import Tables

# Differ between two runs that did the same work.
OWN_TO_A_RUN = {"run_id", "created_at", "retired_at", "updated_at"}


Rows = dict[str, list[dict[str, Any]]]


class _ReadsOnce(Tables):
    """What a data file holds follows from its bytes, and the stores of a test share most of their files."""

    seen: LRUCache[tuple[str, ...], pa.Table] = LRUCache(2000)

    def _read_file(self, key: str, schema: pa.Schema, where: Where | None = None) -> pa.Table:
        assert where is None, "all rows are asked for"
        asked = (bytes_id(self.store.read(key)), *schema.names)
        if asked not in self.seen:
            self.seen[asked] = super()._read_file(key, schema)
        return self.seen[asked]


_tables_seen: LRUCache[tuple[str, ...], list[dict[str, Any]]] = LRUCache(500)


def read_tables(store: ObjectStore, names: Collection[str] = TABLES) -> Rows:
    """All rows of all tables, or of some. They, too, follow from the bytes: of the log and of the data files."""
    return {name: _read_table(_ReadsOnce(store), name) for name in names}


def _read_table(tables: Tables, name: str) -> list[dict[str, Any]]:
    folder = tables.store.local_path(f"tables/{name}")
    if folder is None:
        return tables.read(name).to_pylist()
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    holds = (name, *(part for path in files for part in (path.name, bytes_id(path.read_bytes()))))
    if holds not in _tables_seen:
        _tables_seen[holds] = tables.read(name).to_pylist()
    return _tables_seen[holds]


def violations(store: ObjectStore, tables: Rows | None = None) -> list[str]:
    """Everything that is wrong with the tables and the objects they name; empty where the store is sound."""
    tables = tables or read_tables(store)
    found = [
        f"{name}: {count} rows have the key {key}"
        for name, spec in TABLES.items()
        for key, count in Counter(row[spec.key] for row in tables[name]).items()
        if count > 1
    ]
    live = [row for row in tables["images"] if row["retired_at"] is None]
    slots = Counter(row["slot"] for row in live)
    found += [f"images: {count} rows of slot {slot} are live" for slot, count in slots.items() if count > 1]
    adapters = {row["adapter_id"] for row in tables["adapters"]}
    found += [f"images: {row['key']} is live without its adapter" for row in live if row["adapter_id"] not in adapters]
    there = [row for row in tables["adapters"] if row["retired_at"] is None]
    return found + [fault for row in (*live, *there) if (fault := _bytes_fault(store, row))]


def content(tables: Rows) -> Rows:
    """The tables without what differs between two runs of the same work; all but `runs`, whose rows are the runs."""
    return {name: _content(rows) for name, rows in tables.items() if name != "runs"}


def _content(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = [{k: v for k, v in row.items() if k not in OWN_TO_A_RUN} for row in rows]
    for row, whole in zip(plain, rows, strict=True):
        row["live"] = whole.get("retired_at") is None
    return sorted(plain, key=str)


def _bytes_fault(store: ObjectStore, row: dict[str, Any]) -> str:
    try:
        came = bytes_id(store.read(row["key"]))
    except ObjectMissing:
        return f"{row['key']}: has a row and no bytes"
    return "" if came == row["sha256"] else f"{row['key']}: other bytes than its row says"
