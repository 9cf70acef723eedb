"""Counts a run's outcome so that everything that went in comes out somewhere."""

from collections import Counter
from datetime import datetime

from catalog_schemas.plan import Plan, SkuJob
from catalog_schemas.rejection import Reason
from catalog_schemas.run import RunRecord
from tasks.publishing.publication import Harvest
from tasks.runtime.context import RunContext


def tally(context: RunContext, plan: Plan, jobs: list[SkuJob], harvest: Harvest, now: datetime) -> RunRecord:
    """The run's record. `jobs` are the plan's less those without a usable photo."""
    published = {image.sku for image in harvest.images}
    planned = {one.spec.id: one for job in jobs for one in job.variants}
    refused = Counter[str]()
    for rejection in harvest.rejections:
        if rejection.reason == Reason.CHECK_FAILED:
            refused[rejection.variant_id] = len(planned[rejection.variant_id].channels)
    images_planned = sum(len(one.channels) for one in planned.values())
    images_rejected = sum(refused.values())
    record = RunRecord(
        run_id=context.run_id,
        catalog=context.catalog,
        config=context.config.model_dump_json(),
        status="completed",
        skus_input=plan.rows,
        skus_published=len(published),
        skus_quarantined=len(plan.quarantined) + len(plan.jobs) - len(jobs),
        skus_failed=sum(job.product.sku not in published for job in jobs),
        skus_skipped=plan.skipped,
        skus_waiting=plan.waiting,
        adapters_trained=sum(bool(adapter.sku) for adapter in harvest.adapters),
        images_planned=images_planned,
        images_published=len(harvest.images),
        images_rejected=images_rejected,
        images_failed=images_planned - len(harvest.images) - images_rejected,
        images_skipped=plan.images_skipped + plan.images_refused,
        images_retired=len(plan.retired),
        seconds=(now - context.started_at).total_seconds(),
        started_at=context.started_at,
        finished_at=now,
    )
    dealt_with = record.skus_published + record.skus_quarantined + record.skus_failed
    outcomes = dealt_with + record.skus_skipped + record.skus_waiting
    assert outcomes == record.skus_input, f"{record.skus_input} SKUs went in, {outcomes} came out"
    assert record.images_failed >= 0, f"{images_planned} images were planned, more came out"
    return record
