"""Trains one cohort of SKUs: from their prepared photos to ordinary LoRA files with their records."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from catalog_schemas.adapter import AdapterFile, AdapterRecord
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import Reference, References
from catalog_schemas.rejection import Reason, Rejection
from tasks.engine.evaluation import Evaluation
from tasks.engine.jobs import DivergedAdapter, TrainingJob, steps_for
from tasks.engine.lora_file import read_lora
from tasks.engine.similarity import load_scorer
from tasks.engine.snapshot import Snapshots
from tasks.engine.training import train_cohort
from tasks.runtime.adapter_files import read_adapters
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult
from tasks.runtime.progress import Progress
from tasks.storage.keys import snapshot_key
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import Rgb
from tasks.training.base import base_of
from tasks.training.class_images import class_images
from tasks.training.evaluation import evaluation_of
from tasks.training.keeping import class_prompt, instance_prompt, keep_adapter, seed_of, training_diverged
from tasks.training.photos import training_photos


def train_skus(
    context: RunContext,
    stage: str,
    jobs: list[SkuJob],
    references: References,
    starts: dict[str, AdapterFile],
    store: ObjectStore,
) -> StageResult[AdapterRecord]:
    """The result of `stage` for a cohort that has not been trained yet."""
    config, started = context.config, time.perf_counter()
    files, lost = read_adapters(store, starts)
    rejections = [_lost(context, stage, job, lost[start]) for job in jobs if (start := job.own_adapter.start) in lost]
    jobs = [job for job in jobs if job.own_adapter.start not in lost]
    if not jobs:
        return StageResult((), tuple(rejections))
    classes = {name: read_lora(data) for name, data in files.items()}
    base = base_of(context)
    held_out: References = {}
    rehearsed = cache(partial(class_images, context, base, store))
    work = [_job(context, job, references[job.product.sku], held_out, rehearsed, store) for job in jobs]
    work = [replace(one, start=classes.get(job.own_adapter.start)) for one, job in zip(work, jobs, strict=True)]
    with Progress("training steps") as progress:
        outcomes = train_cohort(
            base,
            work,
            config.training,
            context.resolution,
            config.compute.slots,
            progress.update,
            snapshots=snapshots_of(context, jobs, store),
            evaluation=_evaluation(context, held_out, store),
        )
    seconds = (time.perf_counter() - started) / len(jobs)
    records = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, DivergedAdapter):
            rejections.append(training_diverged(context, job, stage, outcome.detail))
        else:
            records.append(keep_adapter(context, job.own_adapter, outcome, base, seconds, store))
    return StageResult(tuple(records), tuple(rejections))


def _lost(context: RunContext, stage: str, job: SkuJob, what: str) -> Rejection:
    sku, detail = job.product.sku, f"SKU {job.product.sku} begins with a class adapter: {what}"
    tried, began = job.own_adapter.id, context.started_at
    return Rejection(sku, stage, Reason.ADAPTER_LOST, tried, detail, context.run_id, began)


def _evaluation(context: RunContext, held_out: References, store: ObjectStore) -> Evaluation | None:
    config = context.config.training.evaluation
    if config is None:
        return None
    return evaluation_of(context, config, load_scorer(Path(context.model.scorer)), held_out, store)


def snapshots_of(context: RunContext, jobs: list[SkuJob], store: ObjectStore) -> Snapshots | None:
    """Where the cohort's state is kept while it trains, and what a killed run has left there."""
    every = context.config.compute.snapshot_steps
    if not every:
        return None
    key = snapshot_key([job.own_adapter.id for job in jobs])
    try:
        left = store.read(key)
    except ObjectMissing:  # or another run has just trained the cohort
        left = None
    return Snapshots(every, lambda state: store.write(key, state), left)


def _job(
    context: RunContext,
    job: SkuJob,
    references: tuple[Reference, ...],
    held_out: References,
    rehearsed: Callable[[str], Iterable[Rgb]],
    store: ObjectStore,
) -> TrainingJob:
    """The SKU's training job; `rehearsed` gives the images of a class prompt.

    Where the recipe has looks, the SKU's last photos go to `held_out` instead. A SKU with too few photos to spare any
    is judged by those it learns from. Photos are taken by id, so that the catalog's order does not count here, as it
    does not in the adapter's id.
    """
    recipe, noun = context.config.training, job.product.class_noun
    references = tuple(sorted(references, key=lambda reference: reference.id))
    if recipe.evaluation:
        spare = min(recipe.evaluation.held_out, len(references) - 1)
        held_out[job.own_adapter.id] = references[-spare:] if spare else references
        references = references[: len(references) - spare]
    prior = class_prompt(noun)
    return TrainingJob(
        adapter_id=job.own_adapter.id,
        sku=job.product.sku,
        instance=instance_prompt(recipe, noun, job.own_adapter.colour),
        prior=prior,
        class_images=rehearsed(prior),
        photos=training_photos(context, references, store),
        steps=steps_for(len(references), recipe),
        seed=seed_of(job.own_adapter, recipe.seed),
    )
