"""Makes a run visible: one commit per table, after all objects are written, each exactly once.

The order is adapters, rejections, images, skus, runs. A run killed between two commits is completed by the next one,
which finds what is there and adds what is missing.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from prefect import task

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import Plan, SkuJob
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from tasks.context import RunContext
from tasks.retrying import RETRIES
from tasks.storage.tables import TABLES, Tables, rows_of


@dataclass(frozen=True)
class Harvest:
    """Everything a run has made, refused and retired; `skus` is what the next run is to know."""

    adapters: tuple[AdapterRecord, ...]
    images: tuple[ImageRecord, ...]
    rejections: tuple[Rejection, ...]
    retired: tuple[str, ...] = ()
    skus: tuple[SkuRecord, ...] = ()


@task(name="publish", tags=["cpu"], **RETRIES)
def publish(context: RunContext, harvest: Harvest, run: RunRecord) -> None:
    """Commits the run's adapters, rejections, images, SKUs and its own record.

    An image that takes the place of another retires it: `retired_at` is set, and its bytes stay. Raises StoreError.
    """
    tables = Tables(context.open())
    images = [replace(record, run_id=context.run_id) for record in harvest.images]
    commits: list[tuple[str, pa.Table, tuple[str, ...]]] = [
        ("adapters", rows_of("adapters", [replace(one, run_id=context.run_id) for one in harvest.adapters]), ()),
        ("rejections", rows_of("rejections", [replace(one, run_id=context.run_id) for one in harvest.rejections]), ()),
        ("images", _with_retired(tables, images, harvest.retired, run.finished_at), ("retired_at",)),
        ("skus", rows_of("skus", harvest.skus), ("catalog", "fingerprint", "status", "images", "run_id", "updated_at")),
        ("runs", rows_of("runs", [run]), ()),
    ]
    for name, rows, update in commits:
        if len(rows):
            tables.merge(name, rows, TABLES[name].key, context.run_id, update)


def sku_records(context: RunContext, plan: Plan, jobs: list[SkuJob], harvest: Harvest) -> tuple[SkuRecord, ...]:
    """What the next run is to know of the SKUs that this one looked at.

    A SKU whose training diverged is left out, so that the next run tries again. `jobs` are the plan's less those
    without a usable photo.
    """
    usable = {job.product.sku for job in jobs}
    unusable = {job.product.sku for job in plan.jobs} - usable
    refused = {one.sku for one in plan.rejections if one.subject == one.sku}
    again = {one.sku for one in harvest.rejections if one.reason == Reason.TRAINING_DIVERGED}
    made = Counter(image.sku for image in harvest.images)
    records = []
    for sku, fingerprint in plan.fingerprints.items():
        if sku in unusable or sku in refused:
            records.append(_record(context, sku, fingerprint, "quarantined", 0))
        elif sku not in again and (sku in usable or sku in plan.held):
            records.append(_record(context, sku, fingerprint, "published", plan.held.get(sku, 0) + made[sku]))
    return (*records, *(_record(context, sku, "", "retired", 0) for sku in plan.gone))


def _record(context: RunContext, sku: str, fingerprint: str, status: str, images: int) -> SkuRecord:
    return SkuRecord(sku, context.catalog, fingerprint, status, images, context.run_id, context.started_at)


def _with_retired(tables: Tables, images: list[ImageRecord], retired: tuple[str, ...], now: datetime) -> pa.Table:
    """The new images, and the live rows whose place they take or that are retired, with the moment of it."""
    fresh = rows_of("images", images)
    if not len(fresh) and not retired:
        return fresh
    live = tables.live_images()
    replaced = pc.and_(pc.is_in(live["slot"], fresh["slot"]), pc.invert(pc.is_in(live["image_id"], fresh["image_id"])))
    old = live.filter(pc.or_(replaced, pc.is_in(live["image_id"], pa.array(retired, pa.string()))))
    column = old.schema.get_field_index("retired_at")
    kind = old.schema.field(column)
    return pa.concat_tables([fresh, old.set_column(column, kind, pa.array([now] * len(old), kind.type))])
