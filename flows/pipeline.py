"""The way of a run through its stages: the same for the nightly refresh, a merchandiser's click and the laptop."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture, wait

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import Plan, PlannedVariant, SkuJob
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.run import RunRecord
from flows.tally import tally
from tasks import check_variants as checking
from tasks import finish_images as finishing
from tasks import generate_variants as generating
from tasks import prepare_references as preparing
from tasks import train_adapters as training
from tasks.context import RunContext
from tasks.ledger import forget, recorded
from tasks.photos import no_usable_photo
from tasks.plan import Selection, plan_run
from tasks.publish import Harvest, publish, sku_records
from tasks.report import ReportLinks, report

Item = TypeVar("Item")
References = dict[str, tuple[Reference, ...]]


@dataclass(frozen=True)
class RunOutcome:
    """What a run did, and where its report lies."""

    record: RunRecord
    report: ReportLinks
    warnings: tuple[str, ...]


def run_pipeline(context: RunContext, selection: Selection) -> RunOutcome:
    """Plans, and does what the plan says: call it inside a Prefect flow.

    Raises PackshotError where the run as a whole cannot go on; then nothing of it is published, and the next run
    takes up what its stages have finished.
    """
    store = context.open()
    store.write(f"runs/{context.run_id}/config.json", context.config.model_dump_json(indent=2).encode())
    plan = plan_run(context, selection)
    references, unusable = _prepare(context, plan)
    jobs = [job for job in plan.jobs if references[job.product.sku]]
    adapters, diverged = _train(context, jobs, references)
    trained = [job for job in jobs if job.product.sku not in {rejection.sku for rejection in diverged}]
    images, refused = _make_images(context, trained, references)
    harvest = Harvest(tuple(adapters), tuple(images), (*plan.rejections, *unusable, *diverged, *refused), plan.retired)
    harvest = replace(harvest, skus=sku_records(context, plan, jobs, harvest))
    record = tally(context, plan, jobs, harvest, datetime.now(UTC))
    publish(context, harvest, record)
    _forget(context, plan, jobs, trained)
    warnings = (context.model.warning,) if context.model.warning else ()
    return RunOutcome(record, report(context, jobs, harvest, record), warnings)


def _prepare(context: RunContext, plan: Plan) -> tuple[References, list[Rejection]]:
    """The usable photos of every job's SKU; a SKU without any is quarantined."""
    chunks = list(_slices(plan.jobs, context.config.compute.chunk_size))
    results = _collect(
        _submit(preparing.prepare_references, _title("prepare", chunk), context, chunk) for chunk in chunks
    )
    references: dict[str, list[Reference]] = defaultdict(list)
    for reference in (reference for result in results for reference in result.records):
        references[reference.sku].append(reference)
    rejections = [rejection for result in results for rejection in result.rejections]
    unusable = [job for job in plan.jobs if job.product.sku not in references]
    rejections += [_quarantine(context, job) for job in unusable]
    return {job.product.sku: tuple(references[job.product.sku]) for job in plan.jobs}, rejections


def _train(
    context: RunContext, jobs: list[SkuJob], references: References
) -> tuple[list[AdapterRecord], list[Rejection]]:
    """The adapters that the plan asks for: those that a killed run left, and those that are trained now."""
    wanted = [job for job in jobs if job.train and job.adapter is not None]
    left = {record.adapter_id: record for record in recorded(context.open(), training.STAGE, AdapterRecord)}
    missing = [job for job in wanted if job.adapter and job.adapter.id not in left]
    futures = []
    for cohort in _slices(missing, context.config.compute.cohort_size):
        photos = {job.product.sku: references[job.product.sku] for job in cohort}
        futures.append(_submit(training.train_adapters, _title("train", cohort), context, cohort, photos))
    results = _collect(futures)
    kept = [left[job.adapter.id] for job in wanted if job.adapter and job.adapter.id in left]
    made = [record for result in results for record in result.records]
    return kept + made, [rejection for result in results for rejection in result.rejections]


def _make_images(
    context: RunContext, jobs: list[SkuJob], references: References
) -> tuple[list[ImageRecord], list[Rejection]]:
    """Draws, checks and finishes chunk by chunk: one chunk is finished while the next is drawn."""
    adapters = {job.adapter.id: training.adapter_key(job.adapter) for job in jobs if job.adapter}
    products = finishing.products_of(jobs)
    futures: list[PrefectFuture[Any]] = []
    for chunk in _chunks(context, jobs):
        photos = {one.spec.sku: references[one.spec.sku] for one in chunk}
        own = {one.spec.adapter_id: adapters[one.spec.adapter_id] for one in chunk if one.spec.adapter_id}
        names = {sku: products[sku] for sku in photos}
        drawn = _submit(generating.generate_variants, _title("generate", chunk), context, chunk, photos, own)
        checked = _submit(checking.check_variants, _title("check", chunk), context, chunk, drawn, photos)
        finished = _submit(finishing.finish_images, _title("finish", chunk), context, chunk, names, checked)
        futures += [drawn, checked, finished]
    results = _collect(futures)
    images = [record for result in results for record in result.records if isinstance(record, ImageRecord)]
    return images, [rejection for result in results for rejection in result.rejections]


def _forget(context: RunContext, plan: Plan, jobs: list[SkuJob], trained: list[SkuJob]) -> None:
    """The tables hold it now: the stages' records have served."""
    store, library, compute = context.open(), context.library(), context.config.compute
    forget(store, preparing.STAGE, (preparing.work_of(chunk) for chunk in _slices(plan.jobs, compute.chunk_size)))
    for info in list(store.list(f"cache/stages/{training.STAGE}")):
        store.delete([info.key])
    chunks = list(_chunks(context, trained))
    forget(store, generating.STAGE, (generating.work_of(chunk) for chunk in chunks))
    forget(store, checking.STAGE, (checking.work_of(context, chunk) for chunk in chunks))
    forget(store, finishing.STAGE, (finishing.work_of(context, chunk, library) for chunk in chunks))


def _chunks(context: RunContext, jobs: list[SkuJob]) -> Iterator[list[PlannedVariant]]:
    return _slices([one for job in jobs for one in job.variants], context.config.compute.chunk_size)


def _submit(stage: Task[..., Any], title: str, *arguments: Any) -> PrefectFuture[Any]:
    return stage.with_options(task_run_name=title).submit(*arguments)


def _collect(futures: Iterable[PrefectFuture[Any]]) -> list[Any]:
    """The results of all, once all have ended: the first failure is raised then, so that none is left running."""
    listed = list(futures)
    wait(listed)
    return [future.result() for future in listed]


def _slices(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def _title(verb: str, work: Sequence[Any]) -> str:
    first = work[0].spec.sku if isinstance(work[0], PlannedVariant) else work[0].product.sku
    return f"{verb} {first}" if len(work) == 1 else f"{verb} {first} and {len(work) - 1} more"


def _quarantine(context: RunContext, job: SkuJob) -> Rejection:
    sku = job.product.sku
    detail = no_usable_photo(sku, len(job.photos))
    reason = Reason.SKU_NO_USABLE_REFERENCES
    return Rejection(sku, preparing.STAGE, reason, sku, detail, context.run_id, context.started_at)
