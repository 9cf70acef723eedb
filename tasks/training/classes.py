"""Trains class adapters: each class noun as a SKU of its own, over the photos of the SKUs that begin with it."""

import time

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import Reference, References
from tasks.engine.base_model import BaseModel
from tasks.engine.jobs import DivergedAdapter, TrainingJob
from tasks.engine.training import train_cohort
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult
from tasks.runtime.progress import Progress
from tasks.storage.objects import ObjectStore
from tasks.training.base import base_of
from tasks.training.class_images import class_images
from tasks.training.keeping import class_prompt, instance_prompt, keep_adapter, seed_of, training_diverged
from tasks.training.photos import training_photos


def train_class_adapters(
    context: RunContext,
    stage: str,
    classes: list[AdapterSpec],
    jobs: list[SkuJob],
    references: References,
    store: ObjectStore,
) -> StageResult[AdapterRecord]:
    """The result of `stage` for classes that have not been trained yet."""
    config, started = context.config, time.perf_counter()
    recipe = config.training.model_copy(update={"evaluation": None})
    base = base_of(context)
    begun = {spec.id: [job for job in jobs if job.start == spec] for spec in classes}
    work = [_job(context, base, spec, class_photos(spec, begun[spec.id], references), store) for spec in classes]
    with Progress("training steps") as progress:
        outcomes = train_cohort(base, work, recipe, context.resolution, config.compute.slots, progress.update)
    seconds = (time.perf_counter() - started) / len(classes)
    records, rejections = [], []
    for spec, outcome in zip(classes, outcomes, strict=True):
        if isinstance(outcome, DivergedAdapter):
            for job in begun[spec.id]:
                detail = f"SKU {job.product.sku} begins with a class adapter: {outcome.detail}"
                rejections.append(training_diverged(context, job, stage, detail))
        else:
            records.append(keep_adapter(context, spec, outcome, base, seconds, store))
    return StageResult(tuple(records), tuple(rejections))


def class_photos(spec: AdapterSpec, jobs: list[SkuJob], references: References) -> list[Reference]:
    """The photos that a class learns from: those that name it or, where none of them can be used, all of its SKUs'."""
    photos = {one.id: one for job in jobs for one in references[job.product.sku]}
    return [photos[name] for name in spec.references if name in photos] or [photos[name] for name in sorted(photos)]


def _job(
    context: RunContext, base: BaseModel, spec: AdapterSpec, photos: list[Reference], store: ObjectStore
) -> TrainingJob:
    """A class as the engine sees it: a SKU with many photos, under the prompt that its SKUs go on with."""
    recipe, prior = context.config.training, class_prompt(spec.class_noun)
    return TrainingJob(
        adapter_id=spec.id,
        sku=f"class {spec.class_noun}",
        instance=instance_prompt(recipe, spec.class_noun),
        prior=prior,
        photos=training_photos(context, photos, store),
        steps=recipe.steps_maximum,
        seed=seed_of(spec, recipe.seed),
        class_images=class_images(context, base, store, prior),
    )
