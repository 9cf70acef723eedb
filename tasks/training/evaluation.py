"""What a SKU in training is judged by: pictures for a few fixed prompts, its held-out photos, and a CLIP model."""

import re
from functools import partial

from catalog_schemas.reference import References
from configs.training import EvaluationConfig
from tasks.engine.evaluation import Evaluation, Score
from tasks.engine.jobs import TrainingJob
from tasks.engine.rendering import RenderRequest, RenderSettings
from tasks.engine.similarity import Scorer
from tasks.runtime.context import RunContext
from tasks.runtime.pictures import read_picture
from tasks.storage.objects import ObjectStore
from tasks.techniques import Rgb

PLACES = ("", ", on a wooden table", ", on green grass in a garden", ", on white marble")


def look_requests(backdrop: str, job: TrainingJob) -> list[RenderRequest]:
    """The pictures of one look: the product in each of `PLACES`, without the backdrop of its photos."""
    product = job.instance.removesuffix(f", {backdrop}")
    return [RenderRequest(product + place, "", seed) for seed, place in enumerate(PLACES)]


def evaluation_of(
    context: RunContext,
    config: EvaluationConfig,
    scorer: Scorer,
    held_out: References,
    store: ObjectStore,
) -> Evaluation:
    """The looks of a training run. `held_out` are each SKU's photos that it does not train on, by adapter id; they are
    read here, one SKU's at a time. Raises StoreError."""
    token, backdrop = context.config.training.token, context.config.training.backdrop
    photos = {
        name: scorer.images([read_picture(store, reference.image_key) for reference in references])
        for name, references in held_out.items()
    }

    def score(job: TrainingJob, images: list[Rgb | None]) -> Score:
        drawn = [(image, place) for image, place in zip(images, PLACES, strict=True) if image is not None]
        if not drawn:
            return Score(-1.0, -1.0)
        features = scorer.images([image for image, _ in drawn])
        plain = job.instance.removesuffix(f", {backdrop}")
        plain = re.sub(rf"\b{re.escape(token)} ", "", plain)
        texts = scorer.texts([plain + place for _, place in drawn])
        likeness = float((features @ photos[job.adapter_id].T).mean())
        return Score(likeness, float((features * texts).sum(1).mean()))

    return Evaluation(
        every=config.every,
        requests=partial(look_requests, backdrop),
        settings=RenderSettings.of(context.config.generation, context.resolution),
        score=score,
        batch_size=context.config.compute.batch_size,
        patience=config.patience,
        gain=config.gain,
        forfeit=config.forfeit,
    )
