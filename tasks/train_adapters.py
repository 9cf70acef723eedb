"""Fine-tunes one cohort of SKUs, and keeps each adapter as an ordinary LoRA file with its record."""

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import task

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.identity import bytes_id, canonical_json, content_id
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from configs.schema import TrainingConfig
from tasks.class_images import class_images
from tasks.context import RunContext
from tasks.engine.base_model import BaseModel, load_base
from tasks.engine.crops import TrainingPhoto
from tasks.engine.lora_file import LoraHeader, read_lora, write_embedding, write_lora
from tasks.engine.selection import Evaluation
from tasks.engine.similarity import load_scorer
from tasks.engine.snapshot import Snapshots
from tasks.engine.training import DivergedAdapter, TrainedAdapter, TrainingJob, steps_for, train_cohort
from tasks.ledger import StageResult, once
from tasks.looks import evaluation_of
from tasks.pixels import read_reference
from tasks.progress import Progress
from tasks.retrying import RETRIES
from tasks.storage.keys import safe_name
from tasks.storage.objects import ObjectStore
from tasks.techniques import Rgb, join_words

STAGE = "train_adapters"
logger = logging.getLogger(__name__)


@task(name="train adapters", tags=["gpu"], **RETRIES)
def train_adapters(
    context: RunContext, jobs: list[SkuJob], references: dict[str, tuple[Reference, ...]]
) -> StageResult[AdapterRecord]:
    """One `AdapterRecord` per SKU of the cohort, and a verdict on each SKU whose training diverged.

    `references` holds the usable photos by SKU. Writes `adapters/<sku>/<id>/adapter.safetensors` and `record.json`,
    and `embedding.safetensors` where words were learned.
    Raises ModelError and StoreError.
    """
    store = context.open()
    return once(store, STAGE, AdapterRecord, work_of(jobs), lambda: _train(context, jobs, references, store))


def work_of(jobs: list[SkuJob]) -> list[str]:
    """The identity of a cohort."""
    return [_spec(job).id for job in jobs]


def adapter_folder(spec: AdapterSpec) -> str:
    """Where an adapter's objects lie in the store."""
    return f"adapters/{safe_name(spec.sku or f'class {spec.class_noun}')}/{spec.id[:16]}"


def adapter_key(spec: AdapterSpec) -> str:
    """The store key of an adapter's LoRA file."""
    return f"{adapter_folder(spec)}/adapter.safetensors"


def _train(
    context: RunContext, jobs: list[SkuJob], references: dict[str, tuple[Reference, ...]], store: ObjectStore
) -> StageResult[AdapterRecord]:
    config, started = context.config, time.perf_counter()
    base = load_base(Path(context.model.path), config.model.precision, config.compute.device)
    held_out: dict[str, list[Rgb]] = {}
    starts = {job.start.id: adapter_key(job.start) for job in jobs if job.start}
    classes = {name: read_lora(store.read(key)) for name, key in starts.items()}
    work = [_job(context, base, job, references[job.product.sku], held_out, store) for job in jobs]
    work = [replace(one, start=classes.get(_spec(job).start)) for one, job in zip(work, jobs, strict=True)]
    with Progress("training steps") as progress:
        outcomes = train_cohort(
            base,
            work,
            config.training,
            context.resolution,
            config.compute.slots,
            progress.update,
            snapshots=_snapshots(context, jobs, store),
            evaluation=_evaluation(context, held_out),
        )
    seconds = (time.perf_counter() - started) / len(jobs)
    records, rejections = [], []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, DivergedAdapter):
            rejections.append(diverged(context, job, STAGE, outcome.detail))
        else:
            records.append(keep_adapter(context, _spec(job), outcome, base, seconds, store))
    return StageResult(tuple(records), tuple(rejections))


def _evaluation(context: RunContext, held_out: dict[str, list[Rgb]]) -> Evaluation | None:
    config = context.config.training.evaluation
    if config is None:
        return None
    return evaluation_of(context, config, load_scorer(Path(context.model.scorer)), held_out)


def _snapshots(context: RunContext, jobs: list[SkuJob], store: ObjectStore) -> Snapshots | None:
    """Where the cohort's state is kept while it trains, and what a killed run has left there."""
    every = context.config.compute.snapshot_steps
    if not every:
        return None
    key = f"cache/snapshots/{content_id(work_of(jobs))}.safetensors"
    return Snapshots(every, lambda state: store.write(key, state), store.read(key) if store.exists(key) else None)


def _job(
    context: RunContext,
    base: BaseModel,
    job: SkuJob,
    references: tuple[Reference, ...],
    held_out: dict[str, list[Rgb]],
    store: ObjectStore,
) -> TrainingJob:
    """The SKU's training job; where the recipe looks at SKUs, its last photos go to `held_out` instead.

    A SKU with too few photos to spare any is judged by those it learns from.
    """
    recipe, noun = context.config.training, job.product.class_noun
    photos = [read_reference(store, reference) for reference in references]
    if recipe.evaluation:
        spare = min(recipe.evaluation.held_out, len(photos) - 1)
        held_out[_spec(job).id] = [photo.rgb for photo in (photos[-spare:] if spare else photos)]
        photos = photos[: len(photos) - spare]
    prior = f"a photo of a {noun}"
    rehearsed = class_images(context, base, prior, recipe.prior_images, store) if recipe.prior_images else ()
    return TrainingJob(
        adapter_id=_spec(job).id,
        sku=job.product.sku,
        instance=instance_prompt(recipe, noun, _spec(job).colour),
        prior=prior,
        class_images=rehearsed,
        photos=tuple(TrainingPhoto(photo.rgb, photo.mask) for photo in photos),
        steps=steps_for(len(photos), recipe),
        seed=seed_of(_spec(job), recipe.seed),
    )


def instance_prompt(recipe: TrainingConfig, noun: str, colour: str = "") -> str:
    """What a product's photos are called in training."""
    product = join_words("a photo of a", colour, recipe.token, noun)
    return ", ".join(part for part in (product, recipe.backdrop) if part)


def seed_of(spec: AdapterSpec, seed: int) -> int:
    """A SKU's own seed, 63 bits, the same wherever and beside whomever it is trained."""
    return (int(spec.id[:16], 16) ^ seed) & (2**63 - 1)


def keep_adapter(
    context: RunContext, spec: AdapterSpec, outcome: TrainedAdapter, base: BaseModel, seconds: float, store: ObjectStore
) -> AdapterRecord:
    """Writes an adapter's objects; returns its record."""
    recipe = context.config.training
    header = LoraHeader(
        name=spec.sku or spec.class_noun,
        family=base.family,
        base_model=spec.base_model,
        trigger=join_words(spec.colour, recipe.token, spec.class_noun),
        resolution=context.resolution,
        recipe=canonical_json(spec),
        prediction=base.prediction,
    )
    data = write_lora(outcome.weights, header)
    folder, words = adapter_folder(spec), bool(outcome.weights.tokens)
    record = AdapterRecord(
        adapter_id=spec.id,
        sku=spec.sku,
        class_noun=spec.class_noun,
        token=recipe.token,
        base_model=spec.base_model,
        references=spec.references,
        recipe=spec.recipe,
        trainer_version=spec.trainer_version,
        key=adapter_key(spec),
        sha256=bytes_id(data),
        bytes=len(data),
        steps=outcome.steps,
        loss_before=outcome.loss_before,
        loss_after=outcome.loss_after,
        curve=canonical_json(list(outcome.curve)) if outcome.curve else "",
        seconds=seconds,
        run_id=context.run_id,
        created_at=datetime.now(UTC),
        start=spec.start,
        embedding=f"{folder}/embedding.safetensors" if words else "",
        colour=spec.colour,
    )
    store.write(record.key, data)
    if words:
        store.write(record.embedding, write_embedding(outcome.weights, header))
    store.write(f"{folder}/record.json", canonical_json(record).encode())
    logger.info("%s: loss %.4f to %.4f", header.name, outcome.loss_before, outcome.loss_after)
    return record


def diverged(context: RunContext, job: SkuJob, stage: str, detail: str) -> Rejection:
    """The verdict on a SKU whose adapter cannot be had; it holds until the adapter is another one."""
    sku, tried = job.product.sku, _spec(job).id
    return Rejection(sku, stage, Reason.TRAINING_DIVERGED, tried, detail, context.run_id, context.started_at)


def _spec(job: SkuJob) -> AdapterSpec:
    assert job.adapter is not None, f"SKU {job.product.sku} needs no adapter"
    return job.adapter
