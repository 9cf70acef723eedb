"""What SKUs and classes in training have in common: their prompts and seeds, and what is kept of them."""

import logging
from datetime import UTC, datetime

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.identity import bytes_id, canonical_json
from catalog_schemas.plan import SkuJob
from catalog_schemas.rejection import Reason, Rejection
from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.jobs import TrainedAdapter
from tasks.engine.lora_file import LoraHeader, is_lora, read_lora, write_embedding, write_lora
from tasks.runtime.context import RunContext
from tasks.storage.keys import adapter_folder, adapter_key
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import join_words

logger = logging.getLogger(__name__)


def instance_prompt(recipe: TrainingConfig, noun: str, colour: str = "") -> str:
    """What a product's photos are called in training."""
    product = join_words("a photo of a", colour, recipe.token, noun)
    return ", ".join(part for part in (product, recipe.backdrop) if part)


def class_prompt(noun: str) -> str:
    """What any product of a class is called: SKUs and classes in training rehearse the same images of it."""
    return f"a photo of a {noun}"


def seed_of(spec: AdapterSpec, seed: int) -> int:
    """A SKU's own seed, 63 bits, the same wherever and beside whomever it is trained."""
    return (int(spec.id[:16], 16) ^ seed) & (2**63 - 1)


def keep_adapter(
    context: RunContext, spec: AdapterSpec, outcome: TrainedAdapter, base: BaseModel, seconds: float, store: ObjectStore
) -> AdapterRecord:
    """Writes an adapter's objects; returns its record.

    Where another run, or an attempt that was killed, has trained it as well, the first file counts, if it can be read:
    two trainings need not give the same bits, and both runs' rows speak of one file.
    """
    recipe = context.config.training
    header = LoraHeader(
        name=spec.sku or spec.class_noun,
        kind=base.kind,
        base_model=spec.base_model,
        trigger=join_words(spec.colour, recipe.token, spec.class_noun),
        resolution=context.resolution,
        recipe=canonical_json(spec),
        prediction=base.prediction,
    )
    folder, weights = adapter_folder(spec), outcome.weights
    data = write_lora(weights, header)
    if not store.create(adapter_key(spec), data):
        try:
            first = store.read(adapter_key(spec))
        except ObjectMissing:  # it was given up, or repaired, just now
            first = b""
        if is_lora(first):
            data, weights = first, read_lora(first)
        else:
            store.write(adapter_key(spec), data)
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
        embedding=f"{folder}/embedding.safetensors" if weights.tokens else "",
        colour=spec.colour,
    )
    if record.embedding:
        store.write(record.embedding, write_embedding(weights, header))
    store.write(f"{folder}/record.json", canonical_json(record).encode())
    logger.info("%s: loss %.4f to %.4f", header.name, outcome.loss_before, outcome.loss_after)
    return record


def training_diverged(context: RunContext, job: SkuJob, stage: str, detail: str) -> Rejection:
    """The verdict on a SKU whose adapter cannot be had; it holds until the adapter is another one."""
    sku, tried = job.product.sku, job.own_adapter.id
    return Rejection(sku, stage, Reason.TRAINING_DIVERGED, tried, detail, context.run_id, context.started_at)
