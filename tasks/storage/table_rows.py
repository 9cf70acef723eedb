"""What the tables hold: the record of each, its key, and records as rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.arrow import schema_of, to_table
from catalog_schemas.image import ImageRecord
from catalog_schemas.reference import PhotoRecord
from catalog_schemas.rejection import Rejection
from catalog_schemas.review import Review
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord


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
    "photos": TableSpec(PhotoRecord, "photo_id"),
    "skus": TableSpec(SkuRecord, "sku"),
    "runs": TableSpec(RunRecord, "run_id"),
    "reviews": TableSpec(Review, "review_id"),
}


def rows_of(name: str, records: Iterable[Any]) -> pa.Table:
    """The records as rows of the table `name`, their computed key included."""
    spec, listed = TABLES[name], list(records)
    rows = to_table(spec.record, listed)
    if spec.key not in rows.column_names:
        rows = rows.add_column(0, spec.key, pa.array([record.id for record in listed], pa.string()))
    return rows.cast(spec.schema)


def with_value(rows: pa.Table, column: str, value: Any) -> pa.Table:
    """The rows, all with that value in the column."""
    at = rows.schema.get_field_index(column)
    kind = rows.schema.field(at)
    return rows.set_column(at, kind, pa.array([value] * len(rows), kind.type))


def with_retired_at(rows: pa.Table, moment: datetime | None) -> pa.Table:
    """The rows, all retired at that moment, or live where there is none."""
    return with_value(rows, "retired_at", moment)
