"""The stages that make runs visible, their own and those before them, and what the next run is to know of the SKUs."""

from collections import Counter
from datetime import datetime

from prefect import task

from catalog_schemas.plan import Plan, SkuJob
from catalog_schemas.product import Listing
from catalog_schemas.rejection import PASSING, Reason
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import TO_LOOK_AT, SkuRecord
from tasks.publishing.publication import Harvest, complete_publications, publish_harvest
from tasks.runtime.context import RunContext
from tasks.runtime.stage_options import RETRIES

_UNLISTED = Listing("")


@task(name="publish", **RETRIES)
def publish(context: RunContext, harvest: Harvest, run: RunRecord) -> None:
    """Commits the run's adapters, rejections, images, photos, SKUs and its own record.

    An image that takes the place of another retires it: `retired_at` is set, and its bytes stay. One that a person has
    rejected since it was planned, which another run had published by then, is left out. Raises StoreError.
    """
    publish_harvest(context.open(), harvest, run)


@task(name="finish publishing", **RETRIES)
def finish_publishing(context: RunContext, now: datetime) -> list[str]:
    """What `publication.complete_publications` does, as a task. Raises StoreError."""
    return complete_publications(context.open(), now)


def sku_records(context: RunContext, plan: Plan, jobs: list[SkuJob], harvest: Harvest) -> tuple[SkuRecord, ...]:
    """What the next run is to know of the SKUs that this one looked at.

    The next run looks again at one with a photo or an adapter that could not be had for a passing reason. `jobs` are
    the plan's less those without a usable photo.
    """
    unusable = {job.product.sku for job in plan.jobs} - {job.product.sku for job in jobs}
    made = Counter(image.sku for image in harvest.images)
    records = []
    again = {one.sku: TO_LOOK_AT for one in harvest.rejections if one.reason in PASSING}
    again |= {one.sku: "" for one in harvest.rejections if one.reason in PASSING - {Reason.ADAPTER_LOST}}
    for sku, seen in plan.fingerprints.items():
        fingerprint, listing = again.get(sku, seen), plan.listings.get(sku, _UNLISTED)
        if sku in plan.held and sku not in unusable:
            records.append(_record(context, sku, fingerprint, "published", plan.held[sku] + made[sku], listing))
        else:
            records.append(_record(context, sku, fingerprint, "quarantined", 0, listing))
    return (*records, *(_record(context, sku, "", "retired", 0) for sku in plan.gone))


def _record(
    context: RunContext, sku: str, fingerprint: str, status: str, images: int, listing: Listing = _UNLISTED
) -> SkuRecord:
    seen = (fingerprint, status, images, context.run_id, context.started_at)
    return SkuRecord(sku, context.catalog_name, *seen, listing.title, listing.handle, listing.ids, listing.category)
