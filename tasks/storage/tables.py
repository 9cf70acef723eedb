"""The records of all runs, as Delta Lake tables that pandas, DuckDB, Spark and Polars open too.

A commit is made against the version that was read, or not at all: Delta's own way of moving a commit on top of others
is turned off, and what lost the race is computed again on what won. So no two writers insert the same key, and a
run's rows are there wholly or not at all, once.
"""

import os
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.arrow import schema_of, to_table
from catalog_schemas.errors import StoreUnreachable
from catalog_schemas.image import ImageRecord
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from tasks.storage.faults import PAUSES, attempt
from tasks.storage.objects import ObjectStore

_RACES = 30  # attempts of a commit while others win; each of n writers loses at most n - 1 times to the rest's commits


@dataclass(frozen=True, slots=True)
class TableSpec:
    """Which record a table holds, and the column that is its key."""

    record: type
    key: str

    @property
    def schema(self) -> pa.Schema:
        """Every column nullable, so that older and newer versions of packshot can share a table."""
        fields = list(schema_of(self.record))
        if self.key not in (field.name for field in fields):
            fields.insert(0, pa.field(self.key, pa.string()))  # a key that the record computes: its `id`
        return pa.schema([field.with_nullable(True) for field in fields])


TABLES = {
    "images": TableSpec(ImageRecord, "image_id"),
    "adapters": TableSpec(AdapterRecord, "adapter_id"),
    "rejections": TableSpec(Rejection, "rejection_id"),
    "runs": TableSpec(RunRecord, "run_id"),
}


def rows_of(name: str, records: Iterable[Any]) -> pa.Table:
    """The records as rows of the table `name`, their computed key included."""
    spec, listed = TABLES[name], list(records)
    rows = to_table(spec.record, listed)
    if spec.key not in rows.column_names:
        rows = rows.add_column(0, spec.key, pa.array([record.id for record in listed], pa.string()))
    return rows.cast(spec.schema)


class Tables:
    """The tables of a store. Safe to share between threads and runs; every method raises StoreError."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def uri(self, name: str) -> str:
        """The path or URL that any Delta reader opens."""
        assert name in TABLES, f"{name!r}: not a table; expected one of {', '.join(TABLES)}"
        return self.store.uri(f"tables/{name}")

    def version(self, name: str) -> int:
        """The number of the last commit; -1 where there is no table."""
        table = self._opened(name)
        return -1 if table is None else table.version()

    def read(self, name: str, columns: list[str] | None = None, filters: Any = None) -> pa.Table:
        """The live version's rows, in the schema that this version of packshot declares; empty where there is no table.

        `columns` picks and orders columns. `filters` is a pyarrow expression or [(column, op, value), …]; it may name
        any column. A declared column that the table does not have yet is null; one that is not declared is left out.
        """
        schema = TABLES[name].schema
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        table = self._opened(name)
        if table is None:
            return schema.empty_table()
        held = {field.name for field in table.schema().fields}
        wanted = [column for column in schema.names if column in held]
        rows = attempt(lambda: table.to_pyarrow_table(columns=wanted, filters=filters), self.uri(name), self._pauses)
        return _conformed(rows, schema)

    def merge(self, name: str, rows: pa.Table, key: str, run_id: str, update: tuple[str, ...] = ()) -> int:
        """Adds `rows` in one commit of run `run_id`; returns how many rows were inserted or changed.

        A row whose key is new is inserted; of rows with the same key the first counts. Where the key is there, the
        columns of `update` take the row's values, and all others stay. Nothing is committed where nothing would
        change, nor where this run has committed to this table before: a run has one commit per table, and 0 comes back.
        """
        self.store.probe_conditional_writes()
        rows = _first_of_each(_conformed(rows, TABLES[name].schema), key)
        for race in range(_RACES):
            table = self._opened(name) or self._created(name)
            if table is not None:
                if table.transaction_version(run_id) is not None:
                    return 0
                changed = self._commit(table, rows, key, run_id, update)
                if changed is not None:
                    return changed
            time.sleep(random.uniform(0.01, 0.05) * (race + 1))
        raise StoreUnreachable(f"{self.uri(name)}: other writers committed first {_RACES} times in a row; run again")

    def _commit(self, table: DeltaTable, rows: pa.Table, key: str, run_id: str, update: tuple[str, ...]) -> int | None:
        """The number of rows that the commit changed; None where another writer was faster."""
        properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(run_id, 1)])
        evolves = not set(rows.column_names) <= {field.name for field in table.schema().fields}
        merge = table.merge(
            rows,
            f"held.{key} = new.{key}",
            source_alias="new",
            target_alias="held",
            merge_schema=evolves,
            commit_properties=properties,
        )
        if update:
            differs = " OR ".join(f"held.{column} IS DISTINCT FROM new.{column}" for column in update)
            merge = merge.when_matched_update({column: f"new.{column}" for column in update}, predicate=differs)
        merge = merge.when_not_matched_insert({column: f"new.{column}" for column in rows.column_names})
        try:
            metrics = attempt(lambda: _unless_beaten(merge.execute), table.table_uri, ())
        except _Beaten:
            return None
        return int(metrics["num_target_rows_inserted"] + metrics["num_target_rows_updated"])

    def _opened(self, name: str) -> DeltaTable | None:
        def open_table() -> DeltaTable | None:
            try:
                return DeltaTable(self.uri(name), storage_options=self._options)
            except TableNotFoundError:
                return None

        return attempt(open_table, self.uri(name), self._pauses)

    def _created(self, name: str) -> DeltaTable | None:
        """A new empty table; None where another writer was faster."""

        def create() -> DeltaTable:
            return DeltaTable.create(
                self.uri(name),
                TABLES[name].schema,
                storage_options=self._options,
                commit_properties=CommitProperties(max_commit_retries=0),
            )

        try:
            return attempt(lambda: _unless_beaten(create), self.uri(name), ())
        except _Beaten:
            return None

    @property
    def _options(self) -> dict[str, str]:
        """Beside the credentials, which the Delta driver takes from the same variables: bounded waits, plain http."""
        if self.store.local_path("tables") is not None:
            return {}
        options = {"max_retries": "2", "retry_timeout": "15s", "timeout": "60s", "connect_timeout": "5s"}
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        if self.store.url.startswith("s3://") and endpoint:
            options |= {"aws_endpoint_url": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}
        return options

    @property
    def _pauses(self) -> tuple[float, ...]:
        return () if self.store.local_path("tables") is not None else PAUSES[:1]


class _Beaten(AssertionError):
    """Another writer committed first. Of a kind that `attempt` lets through."""


def _unless_beaten(call: Any) -> Any:
    try:
        return call()
    except CommitFailedError:
        raise _Beaten from None
    except DeltaError as error:
        if "already exists" in str(error):  # two writers created the table
            raise _Beaten from None
        raise


def _first_of_each(rows: pa.Table, key: str) -> pa.Table:
    numbered = rows.select([key]).append_column("row", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(key).aggregate([("row", "min")])["row_min"]
    return rows if len(first) == rows.num_rows else rows.take(first.take(pc.sort_indices(first)))


def _conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
