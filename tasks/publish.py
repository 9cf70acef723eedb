"""Makes a run visible: one commit per table, after all objects are written, each exactly once.

The order is adapters, rejections, images, runs. A run killed between two commits is completed by the next one, which
finds what is there and adds what is missing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.image import ImageRecord
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from tasks.context import RunContext
from tasks.retrying import RETRIES
from tasks.storage.tables import TABLES, Tables, rows_of


@dataclass(frozen=True)
class Harvest:
    """Everything a run has made and refused."""

    adapters: tuple[AdapterRecord, ...]
    images: tuple[ImageRecord, ...]
    rejections: tuple[Rejection, ...]


@task(name="publish", tags=["cpu"], **RETRIES)
def publish(context: RunContext, harvest: Harvest, run: RunRecord) -> None:
    """Commits the run's adapters, rejections, images and its own record.

    An image that takes the place of another retires it: `retired_at` is set, and its bytes stay. Raises StoreError.
    """
    tables = Tables(context.open())
    for name, records, update in (
        ("adapters", [replace(record, run_id=context.run_id) for record in harvest.adapters], ()),
        ("rejections", [replace(record, run_id=context.run_id) for record in harvest.rejections], ()),
    ):
        _commit(tables, name, rows_of(name, records), context.run_id, update)
    images = rows_of("images", [replace(record, run_id=context.run_id) for record in harvest.images])
    rows = pa.concat_tables([images, _replaced(tables, images, run.finished_at)])
    _commit(tables, "images", rows, context.run_id, ("retired_at",))
    _commit(tables, "runs", rows_of("runs", [run]), context.run_id, ())


def _commit(tables: Tables, name: str, rows: pa.Table, run_id: str, update: Iterable[str]) -> None:
    if len(rows):
        tables.merge(name, rows, TABLES[name].key, run_id, tuple(update))


def _replaced(tables: Tables, images: pa.Table, now: datetime) -> pa.Table:
    """The live rows whose place the new images take, with the moment of their retirement."""
    live = tables.live_images()
    mask = pc.and_(
        pc.is_in(live["slot"], images["slot"].combine_chunks()),
        pc.invert(pc.is_in(live["image_id"], images["image_id"].combine_chunks())),
    )
    old = live.filter(mask)
    column = old.schema.get_field_index("retired_at")
    return old.set_column(column, old.schema.field(column), pa.array([now] * len(old), old.schema.field(column).type))
