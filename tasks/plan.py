"""Compares the catalog and the configuration with the store, and lists what is missing, and why."""

import io
from collections.abc import Iterator
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from catalog_schemas.arrow import schema_of
from catalog_schemas.plan import Plan
from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from tasks.planning.changes import Changes, asked_for_first, read_changes
from tasks.planning.known import Known
from tasks.planning.known_photos import KnownPhotos, without_placeholders
from tasks.planning.let_through import let_through, read_by_now
from tasks.planning.look import look_at
from tasks.planning.lost_adapters import find_lost, give_up
from tasks.planning.photos import fetched_key
from tasks.planning.planner import Planner
from tasks.planning.rows import Selection, changed_rows, selected_rows
from tasks.planning.scene_photos import Keep, find_scene_photos
from tasks.planning.unmet_rules import unmet_categories, unmet_skus
from tasks.runtime.context import RunContext
from tasks.runtime.stage_options import RETRIES
from tasks.storage.addresses import is_web
from tasks.storage.sources import Sources
from tasks.storage.tables import Tables


@task(name="plan", **RETRIES)
def plan_run(context: RunContext, selection: Selection) -> Plan:
    """`make_plan` as a stage. Also writes `runs/<run_id>/plan.parquet`, a row per variant to make, and the photos that
    later stages need: those that were fetched from the web, and those of scenes. Retires lost adapters at once."""
    store = context.open()
    plan = make_plan(context, selection, store.write)
    buffer = io.BytesIO()
    pq.write_table(plan_table(plan), buffer)
    store.write(f"runs/{context.run_id}/plan.parquet", buffer.getvalue())
    give_up(store, plan.lost, context.run_id, context.started_at)
    return plan


def plan_table(plan: Plan) -> pa.Table:
    """The plan's variants, a row each, with their reasons."""
    rows = [
        asdict(one.spec)
        | {"variant_id": one.spec.id, "channels": one.channels, "reason": one.reason, "train": job.train}
        for job in plan.jobs
        for one in job.variants
    ]
    extra = {"variant_id": pa.string(), "channels": pa.list_(pa.string()), "reason": pa.string(), "train": pa.string()}
    return pa.Table.from_pylist(
        rows, schema=pa.schema([*schema_of(VariantSpec), *map(pa.field, extra, extra.values())])
    )


def make_plan(context: RunContext, selection: Selection, keep: Keep | None = None) -> Plan:
    """The work of a run. Writes nothing itself: photos that were fetched from the web, and those of scenes, are handed
    to `keep`, each with its key.

    The catalog is read once, in batches. Of a whole catalog only the rows that have changed since the run before are
    looked at, so memory and time follow what has changed. Raises CatalogError, ConfigError and StoreError.
    """
    store, whole = context.open(), selection.is_all
    tables, sources = Tables(store), Sources(context.catalog, context.config.catalog)
    known_photos = KnownPhotos(context, tables)
    if any(map(is_web, context.config.catalog.reference_prefixes)):
        sources.seen = known_photos.seen()
        sources.keep = keep and (lambda content, data: keep(fetched_key(content), data))
    now_read, scene_photos = read_by_now(tables), find_scene_photos(context, keep)
    skus_now_read = {sku for sku, _ in now_read}
    changes = read_changes(context, tables, scene_photos, sources, skus_now_read) if whole else Changes()
    rows = changed_rows(context, changes) if whole else selected_rows(context, selection)
    waiting, gone = changes.put_off(rows.products, selection.limit), changes.gone()
    with look_at(context, known_photos, sources) as look:
        listed = look.at(rows.products)
        placeholders = look.placeholders(listed, gone, changes if whole else None)
    known = Known.of(store, [one.product.sku for one in listed] + gone)
    planner = Planner(context, known, scene_photos)
    usable = let_through(context, [without_placeholders(one, placeholders) for one in listed], now_read)
    if context.config.training.start_from:
        planner.find_classes(usable)
    jobs, lost, lost_classes = find_lost(store, tuple(planner.jobs(usable)), known.adapters)
    if whole:
        changes.refuse_an_emptying_configuration(context, planner.emptied, waiting)
    needed = {spec.id for job in jobs for spec in (job.adapter, job.start) if spec}
    unchanged, quarantined = changes.passed["published"], changes.passed["quarantined"]
    return Plan(
        jobs=jobs,
        rows=len(listed) + len(rows.rejections) + len(waiting) + len(unchanged) + len(quarantined),
        skipped=len(unchanged) + planner.skipped,
        waiting=len(waiting),
        quarantined=(*(one.sku for one in rows.rejections), *quarantined, *planner.quarantined),
        rejections=(*rows.rejections, *planner.rejections),
        images_skipped=changes.images + planner.held.total(),
        images_refused=planner.images_refused,
        held=dict(planner.held),
        fingerprints=changes.fingerprints if whole else asked_for_first(tables, [one.product.sku for one in listed]),
        retired=(*planner.displaced, *known.images_of(gone)) if whole else (),
        gone=tuple(gone),
        classes=(*planner.new_classes, *lost_classes),
        photos=tuple(known_photos.news(listed, gone)) if whole else (),
        listings={one.product.sku: one.product.listing for one in listed},
        adapters={name: known.adapters[name] for name in needed & known.adapters.keys() - lost.keys()},
        lost=lost,
        warnings=tuple(_warnings(context, changes, [*rows.products, *waiting])) if whole else (),
    )


def _warnings(context: RunContext, changes: Changes, products: list[Product]) -> Iterator[str]:
    """What the rules of the matrix name in vain. Of rows that are passed over only the SKU is known."""
    matrix = context.config.variants
    yield from unmet_skus(matrix, changes.seen)
    if not any(changes.passed.values()):
        yield from unmet_categories(matrix, (product.category for product in products))
