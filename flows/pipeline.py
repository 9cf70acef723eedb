"""The way of a run through its stages: the same for the nightly refresh, a merchandiser's click and the laptop."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar, cast

from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_LOGGING_EXTRA_LOGGERS, PREFECT_LOGGING_LEVEL
from prefect.utilities.annotations import quote

from catalog_schemas.adapter import AdapterFile, AdapterRecord
from catalog_schemas.plan import Plan, SkuJob
from catalog_schemas.reference import Reference, References
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.run import RunRecord
from configs.schema import RunConfig
from flows.chunks import slices, title
from flows.compute.workers import Workers
from flows.rounds import make_images
from flows.tally import tally
from tasks.generating.enlarging import size_advice
from tasks.plan import plan_run
from tasks.planning.photos import no_usable_photo
from tasks.planning.rows import Selection
from tasks.prepare_references import STAGE as PREPARE_REFERENCES
from tasks.prepare_references import cut_out_advice, prepare_references
from tasks.publish import finish_publishing, publish, sku_records
from tasks.publishing.publication import Harvest, are_publications_left
from tasks.report import ReportLinks, report, show_first_images
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import recorded
from tasks.runtime.outages import outlived
from tasks.runtime.pictures import PictureLost
from tasks.runtime.progress import announce
from tasks.runtime.running import at_work
from tasks.train_adapters import STAGE as TRAIN_ADAPTERS
from tasks.train_adapters import train_adapters
from tasks.train_classes import STAGE as TRAIN_CLASSES
from tasks.train_classes import train_classes

BEGINNINGS = 10  # of a run at most, since each may find more pictures lost
AUTO_COHORT = 32  # SKUs that one task trains where the device's memory decides how many of them at once
Item = TypeVar("Item")


@dataclass(frozen=True)
class RunOutcome:
    """What a run did and refused, and where its report lies."""

    record: RunRecord
    report: ReportLinks
    warnings: tuple[str, ...]
    rejections: tuple[Rejection, ...]


def run_pipeline(context: RunContext, selection: Selection) -> RunOutcome:
    """Plans, and does what the plan says: call it inside a Prefect flow.

    A run that meets a lost or damaged picture of a cache begins anew: it takes up what its stages have finished, and
    makes that picture again. Raises PackshotError where the run as a whole cannot go on; then nothing of it is
    published, and the next run takes up what its stages have finished.
    """
    _let_extra_loggers_speak()
    with at_work(context.open(), context.run_id, context.config.model_dump_json(indent=2).encode()), outlived():
        for _ in range(BEGINNINGS - 1):
            try:
                return _run(context, selection)
            except PictureLost as fault:
                announce(f"{str(fault).partition(';')[0]}; the run begins anew", logging.WARNING)
        return _run(context, selection)


def _let_extra_loggers_speak() -> None:
    """Gives the loggers that Prefect shows besides its own a level: it gives them none, and the root's is WARNING."""
    for name in PREFECT_LOGGING_EXTRA_LOGGERS.value():
        logging.getLogger(name).setLevel(PREFECT_LOGGING_LEVEL.value())


def _run(context: RunContext, selection: Selection) -> RunOutcome:
    if are_publications_left(context.open()):
        finish_publishing(context, datetime.now(UTC))
    plan = plan_run(context, selection)
    with Workers(context.config.compute) as workers:
        if plan.jobs:
            workers.start()
        references, unusable = _prepare(context, workers, plan)
        jobs = [job for job in plan.jobs if references[job.product.sku]]
        early, late = _before_training(jobs)
        made_early = make_images(context, workers, early, references, {})
        jobs = made_early.as_tried(jobs)
        if early:
            first = Harvest((), tuple(made_early.images), (*plan.rejections, *unusable, *made_early.refused))
            place = show_first_images(context, jobs, first, sum(job.images for job in late))
            announce(f"First images, while adapters are trained: {place}")
        of_classes, lost = _train_classes(context, workers, plan, jobs, references)
        files = plan.adapters | {one.adapter_id: one.file for one in of_classes}
        of_skus, diverged = _train(context, workers, _without(jobs, lost), references, files)
        files |= {one.adapter_id: one.file for one in of_skus}
        adapters, diverged = [*of_classes, *of_skus], [*lost, *diverged]
        made_late = make_images(context, workers, _without(late, diverged), references, files)
        jobs = made_late.as_tried(jobs)
    images = (*made_early.images, *made_late.images)
    superseded = (*made_early.superseded, *made_late.superseded)
    rejections = (*plan.rejections, *unusable, *diverged, *made_early.refused, *made_late.refused)
    harvest = Harvest(tuple(adapters), images, rejections, plan.retired, photos=plan.photos, superseded=superseded)
    harvest = replace(harvest, skus=sku_records(context, plan, jobs, harvest))
    record = tally(context, plan, jobs, harvest, datetime.now(UTC))
    publish(context, _as_it_is(harvest), record)
    _forget(context, workers, adapters)
    advice = (*cut_out_advice(context, chain.from_iterable(references.values())), *size_advice(context, images))
    warnings = tuple(filter(None, (context.model.warning, *plan.warnings, *advice)))
    links = report(context, _as_it_is(jobs), _as_it_is(harvest), record, warnings)
    return RunOutcome(record, links, warnings, harvest.rejections)


def _as_it_is(argument: Item) -> Item:
    """A task's argument that Prefect is not to search for results of other tasks, which takes 0.6 s of 5,000 images."""
    return cast(Item, quote(argument))


def _prepare(context: RunContext, workers: Workers, plan: Plan) -> tuple[References, list[Rejection]]:
    """The usable photos of every job's SKU; a SKU without any is quarantined."""
    chunks = slices(plan.jobs, context.config.compute.chunk_size)
    submitted = (workers.submit(prepare_references, title("prepare", chunk), context, chunk) for chunk in chunks)
    results = workers.results(submitted, ahead=2 * workers.at_once)
    references: dict[str, list[Reference]] = defaultdict(list)
    for reference in (reference for result in results for reference in result.records):
        references[reference.sku].append(reference)
    rejections = [rejection for result in results for rejection in result.rejections]
    unusable = [job for job in plan.jobs if job.product.sku not in references]
    rejections += [_quarantine(context, job) for job in unusable]
    return {job.product.sku: tuple(references[job.product.sku]) for job in plan.jobs}, rejections


def _train_classes(
    context: RunContext, workers: Workers, plan: Plan, jobs: list[SkuJob], references: References
) -> tuple[list[AdapterRecord], list[Rejection]]:
    """Trains the class adapters that the store lacks and that a SKU of this run begins with. Returns them, and the
    verdicts on the SKUs of classes whose training diverged."""
    starts = {job.start.id for job in jobs if job.train and job.start}
    wanted = [spec for spec in plan.classes if spec.id in starts]

    def cohorts() -> Iterator[PrefectFuture[Any]]:
        for some in slices(wanted, _cohort_size(context.config, len(wanted))):
            own = [job for job in jobs if job.start in some]
            photos = {job.product.sku: references[job.product.sku] for job in own}
            yield workers.submit(train_classes, title("train class", some), context, some, own, photos)

    results = workers.results(cohorts(), workers.at_once)
    return [one for result in results for one in result.records], [one for r in results for one in r.rejections]


def _before_training(jobs: list[SkuJob]) -> tuple[list[SkuJob], list[SkuJob]]:
    """The jobs with the variants that need no adapter, to be made before training, and those with the others. Where
    nothing is trained, all are in the second list.

    So there are pictures to look at in the first minute, and a training that fails costs none of them.
    """
    if not any(job.train for job in jobs):
        return [], jobs

    def part(has_adapter: bool) -> list[SkuJob]:
        parts = [
            replace(job, variants=tuple(one for one in job.variants if bool(one.spec.adapter_id) == has_adapter))
            for job in jobs
        ]
        return [job for job in parts if job.variants]

    return part(False), part(True)


def _without(jobs: list[SkuJob], lost: list[Rejection]) -> list[SkuJob]:
    """The jobs less those of SKUs whose training was lost."""
    skus = {rejection.sku for rejection in lost}
    return [job for job in jobs if job.product.sku not in skus]


def _train(
    context: RunContext, workers: Workers, jobs: list[SkuJob], references: References, files: dict[str, AdapterFile]
) -> tuple[list[AdapterRecord], list[Rejection]]:
    """The adapters that the plan asks for, those that a killed run left and those that are trained now, and the
    verdicts on SKUs that got none. `files` holds those of class adapters, by id.

    Cohorts are cut before what is left over is taken out, so that a resumed run trains the same ones.
    """
    wanted = {job.adapter.id: job for job in jobs if job.train and job.adapter}
    left = recorded(context.open(), TRAIN_ADAPTERS, AdapterRecord).values()
    kept = {one.adapter_id: one for result in left for one in result.records if one.adapter_id in wanted}

    def cohorts() -> Iterator[PrefectFuture[Any]]:
        for names in slices(list(wanted), _cohort_size(context.config, len(wanted))):
            cohort = [wanted[name] for name in names if name not in kept]
            photos = {job.product.sku: references[job.product.sku] for job in cohort}
            starts = {job.start.id: files[job.start.id] for job in cohort if job.start}
            if cohort:
                yield workers.submit(train_adapters, title("train", cohort), context, cohort, photos, starts)

    results = workers.results(cohorts(), workers.at_once)
    made = {record.adapter_id: record for result in results for record in result.records}
    adapters = [record for name in wanted if (record := kept.get(name) or made.get(name))]
    return adapters, [rejection for result in results for rejection in result.rejections]


def _forget(context: RunContext, workers: Workers, adapters: list[AdapterRecord]) -> None:
    """Deletes the photos that were fetched and the stages' records, those of adapters that a killed run left included:
    the tables hold it all now."""
    store, published = context.open(), {record.adapter_id for record in adapters}
    store.delete([info.key for info in store.list("cache/photos")])
    store.delete(workers.recorded)
    for stage in (TRAIN_ADAPTERS, TRAIN_CLASSES):
        left = recorded(store, stage, AdapterRecord)
        store.delete([key for key, of in left.items() if all(one.adapter_id in published for one in of.records)])


def _cohort_size(config: RunConfig, adapters: int) -> int:
    """How many SKUs one task trains: no more than a device is to train at once, and few enough that every device has
    some.

    Whole models (DreamBooth) are trained one after another, so each is a task of its own: none waits for others before
    it is kept.
    """
    if config.training.method == "dreambooth":
        return 1
    return max(1, min(config.compute.slots or AUTO_COHORT, -(-adapters // config.compute.devices)))


def _quarantine(context: RunContext, job: SkuJob) -> Rejection:
    sku = job.product.sku
    detail = no_usable_photo(sku, len(job.photos))
    reason = Reason.SKU_NO_USABLE_REFERENCES
    return Rejection(sku, PREPARE_REFERENCES, reason, sku, detail, context.run_id, context.started_at)
