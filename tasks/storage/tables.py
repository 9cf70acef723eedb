"""The records of all runs, as Delta Lake tables that pandas, DuckDB, Spark and Polars open too.

A commit is made on top of the version that was read, or not at all: Delta's way of moving a commit on top of others'
is turned off, and what lost the race is computed again on what won. So no two writers insert the same key, and a
run's rows are there wholly or not at all, once.
"""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Field, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from catalog_schemas.errors import StoreError, StoreUnreachable
from tasks.storage.delta_log import Commit, commit_of, removed
from tasks.storage.faults import PAUSES, attempt
from tasks.storage.merging import DataFile, Where, changes, conformed, first_of_each, parquet_bytes
from tasks.storage.objects import ObjectInfo, ObjectMissing, ObjectStore
from tasks.storage.table_rows import TABLES

Filters = Sequence[tuple[str, str, Any]]
"""Conditions (column, operator, value), as pyarrow's `filters_to_expression` takes them; all of them hold."""

_LACKS = {  # what the Delta driver's text says of servers that only look like a cloud's
    "invalid uploadType": "the server lacks uploads by Google's XML API",
    "Invalid table version": "the server ignores where a listing is to start, as Azurite before 3.37 does",
}
_RACES = 50  # how often others may commit first before a merge gives up
# A file's statistics hold its number of rows and no column's bounds; who need not look for those opens a table of many
# commits in half of the time.
_WITHOUT_BOUNDS = {"delta.dataSkippingNumIndexedCols": "0"}


class Tables:
    """The tables of a store. Safe to share between threads and runs; every method raises StoreError."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self._local = store.local_path("tables") is not None
        self._pauses = () if self._local else PAUSES[:2]

    def live_images(self, columns: list[str] | None = None, skus: list[str] | None = None) -> pa.Table:
        """The rows of `images` that nothing has replaced: all, or those of some SKUs."""
        filters = None if skus is None else [("sku", "in", skus)]
        return self._live("images", columns or TABLES["images"].schema.names, filters)

    def live_adapters(self, columns: list[str] | None = None, filters: Filters | None = None) -> pa.Table:
        """The rows of `adapters` whose files count."""
        return self._live("adapters", columns or TABLES["adapters"].schema.names, filters)

    def _live(self, name: str, wanted: list[str], filters: Filters | None) -> pa.Table:
        parts = self.parts(name, list(dict.fromkeys([*wanted, "retired_at"])), filters)
        return pa.concat_tables(rows.filter(pc.is_null(rows["retired_at"])).select(wanted) for rows in parts)

    def uri(self, name: str) -> str:
        """The path or URL that any Delta reader opens."""
        assert name in TABLES, f"{name!r}: not a table; expected one of {', '.join(TABLES)}"
        return self.store.uri(f"tables/{name}")

    def version(self, name: str) -> int:
        """The number of the last commit; -1 where there is no table."""
        table = self._opened(name)
        return -1 if table is None else table.version()

    def commits(self, name: str) -> Iterator[Commit]:
        """The commits whose files of the log are kept, the last one first."""
        for version in range(self.version(name), -1, -1):
            try:
                log = self.store.read(f"tables/{name}/_delta_log/{version:020}.json")
            except ObjectMissing:
                return
            yield commit_of(version, log)

    def read(
        self, name: str, columns: list[str] | None = None, filters: Filters | None = None, version: int | None = None
    ) -> pa.Table:
        """The rows, retired ones too, in the schema that this packshot declares; empty where there is no table.

        `columns` picks and orders columns; `filters` may name any. A declared column that the table lacks is null; one
        that is not declared is left out. `version` reads an earlier commit, from 0; StoreError where it is not kept any
        more.
        """
        return pa.concat_tables(self.parts(name, columns, filters, version))

    def parts(
        self, name: str, columns: list[str] | None = None, filters: Filters | None = None, version: int | None = None
    ) -> Iterator[pa.Table]:
        """What `read` gives, file by file: for who keeps less of the rows than they are. The first part is empty."""
        schema = TABLES[name].schema
        wanted = list(columns) if columns is not None else schema.names
        yield schema.empty_table().select(wanted)
        if _hold_for_none(filters or ()):
            return
        table = self._opened(name, version)
        if table is None:
            return
        where = _where(schema, filters) if filters else None
        named = dict.fromkeys([*wanted, *(where.columns.names if where else ())])
        scanned = pa.schema([schema.field(column) for column in named])
        for file in self._files(name, table):
            yield file.read(scanned, where).select(wanted)

    def merge(
        self,
        name: str,
        rows: pa.Table | Callable[[], pa.Table],
        run_id: str,
        update: tuple[str, ...] = (),
    ) -> int:
        """Adds `rows` in one commit of run `run_id`; returns how many rows were inserted or changed.

        Rows that follow from what the table holds are given as a function, which is called again after each lost race.

        A row whose key (see `TABLES`) is new is inserted; of rows with the same key the first counts. Where the key is
        there, the columns of `update` (scalars) take the row's values, and all others stay. Nothing is committed where
        nothing would change, nor where this run has committed to this table before: a run has one commit per table, and
        0 comes back.
        """
        self.store.probe_conditional_writes()
        for race in range(_RACES):
            table = self._opened(name) or self._created(name)
            if table is not None:
                if self._asked(name, lambda table=table: table.transaction_version(run_id)) is not None:  # type: ignore[misc]
                    return 0
                given = rows() if callable(rows) else rows
                distinct = first_of_each(conformed(given, TABLES[name].schema), TABLES[name].key)
                changed = self._merged(name, table, distinct, run_id, update)
                if changed is not None:
                    return changed
            time.sleep(random.uniform(0.0, 0.02) * (race + 1))
        raise StoreUnreachable(f"{self.uri(name)}: other writers committed first {_RACES} times in a row; run again")

    def unreferenced(self, before: datetime) -> Iterator[ObjectInfo]:
        """Data files written before then that no version since then names: of lost races, killed writers and old
        versions. Without them the tables of today are whole, and so is every version that was current since then."""
        for name in TABLES:
            files = list(self.store.list(f"tables/{name}"))
            table = self._opened(name)
            if table is None:
                continue
            named = {file.path for file in self._files(name, table)}
            for file in files:
                if "/_delta_log/" in file.key and file.key.endswith(".json") and file.modified >= before:
                    named |= removed(self.store.read(file.key))
            for file in files:
                path = file.key.removeprefix(f"tables/{name}/")
                if path.endswith(".parquet") and "/" not in path and file.modified < before and path not in named:
                    yield file

    def _merged(self, name: str, table: DeltaTable, rows: pa.Table, run_id: str, update: tuple[str, ...]) -> int | None:
        """The number of rows that were changed; None where another writer was faster and it is all to be done again."""
        if not self._widened(name, table, rows.schema):
            return None
        actions, count = attempt(lambda: self._written(name, table, rows, update), self.uri(name), ())
        if not actions:
            return 0
        before = table.version()
        properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(run_id, 1)])
        won = self._won(
            name,
            before + 1,
            lambda: table.create_write_transaction(actions, "append", table.schema(), commit_properties=properties),
        )
        return count if won or self._holds(name, actions[0].path) else None

    def _holds(self, name: str, path: str) -> bool:
        """Whether a commit that seemed to be beaten came about after all: its reply was lost, and the retry met it."""
        table = self._opened(name)
        return table is not None and any(file.path == path for file in self._files(name, table))

    def _written(
        self, name: str, table: DeltaTable, rows: pa.Table, update: tuple[str, ...]
    ) -> tuple[list[AddAction | RemoveAction], int]:
        """The data files of a commit, written, and the number of rows it changes.

        Files of a commit that did not come about stay behind unseen: a reply that got lost can make a commit that did
        come about look like one that did not, and then its files must be there.
        """
        actions: list[AddAction | RemoveAction] = []
        count = 0
        schema = pa.schema(table.schema().to_arrow())
        for change in changes(self._files(name, table), schema, rows, TABLES[name].key, update):
            path, data = f"{uuid.uuid4().hex}.parquet", parquet_bytes(change.rows)
            self.store.write(f"tables/{name}/{path}", data)
            now, stats = int(time.time() * 1000), json.dumps({"numRecords": change.rows.num_rows})
            actions.append(AddAction(path, len(data), {}, now, True, stats))
            actions += [RemoveAction(replaced, True, now) for replaced in change.replaces]
            count += change.count
        return actions, count

    def _files(self, name: str, table: DeltaTable) -> Iterator[DataFile]:
        """The data files of the version that `table` has open.

        deltalake's own way to Arrow reads through Python callbacks on Arrow's threads; a process that ends soon after
        may abort in them. Here a local file is read natively, and a remote one on the calling thread.
        """
        if table.protocol().min_reader_version > 1:
            raise StoreError(f"{self.uri(name)}: another program gave the table features that are unknown here")
        files = pa.table(self._asked(name, table.get_add_actions))
        counts = files["num_records"].to_pylist() if "num_records" in files.column_names else [None] * len(files)
        for path, rows in zip(files["path"].to_pylist(), counts, strict=True):
            key = f"tables/{name}/{path}"
            yield DataFile(path, rows, partial(self._read_file, key))

    def _read_file(self, key: str, schema: pa.Schema, where: Where | None = None) -> pa.Table:
        def read() -> pa.Table:
            with self.store.open(key) as source, pq.ParquetFile(source) as file:
                if where is None:
                    return conformed(file.read(schema.names, use_threads=self._local), schema)
                groups = (self._read_group(file, at, schema, where) for at in range(file.num_row_groups))
                return pa.concat_tables([schema.empty_table(), *groups])

        return attempt(read, self.store.uri(key), self._pauses)

    def _read_group(self, file: pq.ParquetFile, at: int, schema: pa.Schema, where: Where) -> pa.Table:
        """The rows that are asked for: where there is none, columns that do not tell so are not read."""
        read = partial(file.read_row_group, at, use_threads=self._local)
        told = conformed(read(columns=where.columns.names), where.columns)
        if not told.filter(where.expression).num_rows:
            return schema.empty_table()
        return conformed(read(columns=schema.names), schema).filter(where.expression)

    def _widened(self, name: str, table: DeltaTable, schema: pa.Schema) -> bool:
        """Adds the columns that a newer packshot declares; False where another writer was faster."""
        held = {field.name for field in table.schema().fields}
        missing = [Field.from_arrow(field) for field in schema if field.name not in held]
        properties = CommitProperties(max_commit_retries=0)
        return not missing or self._won(
            name, table.version() + 1, lambda: table.alter.add_columns(missing, commit_properties=properties)
        )

    def _opened(self, name: str, version: int | None = None) -> DeltaTable | None:
        def open_table() -> DeltaTable | None:
            try:
                return DeltaTable(self.uri(name), version=version, storage_options=self.store.delta_options)
            except TableNotFoundError:
                return None

        return self._asked(name, open_table)

    def _asked(self, name: str, question: Callable[[], Any]) -> Any:
        """What the driver answers of a table it has open: it reads the log as it needs it."""
        return attempt(question, self.uri(name), self._pauses)

    def _created(self, name: str) -> DeltaTable | None:
        """The new empty table; None where another writer was faster."""
        create = partial(DeltaTable.create, self.uri(name), TABLES[name].schema, configuration=_WITHOUT_BOUNDS)
        options, properties = self.store.delta_options, CommitProperties(max_commit_retries=0)
        made = list[DeltaTable]()
        won = self._won(name, 0, lambda: made.append(create(storage_options=options, commit_properties=properties)))
        return made[0] if won else None

    def _won(self, name: str, version: int, commit: Callable[[], object]) -> bool:
        """Commits as `version`; False where another writer committed first."""

        def once() -> bool:
            try:
                commit()
            except CommitFailedError:
                return False
            except (DeltaError, OSError) as error:
                if "already exists" in str(error):  # two writers created the table
                    return False
                if lacks := next((what for sign, what in _LACKS.items() if sign in str(error)), ""):
                    raise StoreError(f"{self.uri(name)}: {lacks}, which tables need; use another server") from None
                raise
            return True

        return self.store.commit(f"tables/{name}/_delta_log/{version:020}.json", once)


def _hold_for_none(filters: Filters) -> bool:
    """Whether a row would have to be in an empty list, to which Arrow gives no type and so refuses to compare it."""
    return any(op == "in" and not len(value) for _, op, value in filters)


def _where(schema: pa.Schema, filters: Filters) -> Where:
    named = dict.fromkeys(column for column, _, _ in filters)
    return Where(pa.schema([schema.field(column) for column in named]), pq.filters_to_expression(list(filters)))
