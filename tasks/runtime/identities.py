"""What adapters, trials at the gate, images and their places are named by, besides their specs."""

from catalog_schemas.identity import canonical_json, content_id
from catalog_schemas.variant import VariantSpec
from configs.entries import Channel
from tasks.checks import asks_scorer, find_check
from tasks.runtime.context import RunContext
from tasks.runtime.versions import FINISHER_VERSION, GATE_VERSION

_SAMPLER = {"steps", "guidance", "scheduler"}  # of the generation, as training draws


def recipe_of(context: RunContext) -> str:
    """All that decides adapters besides model and photos: how images are drawn, and what judges them, where training
    draws and judges some."""
    training, generation = context.config.training, context.config.generation
    draws = training.prior_images or training.evaluation
    sampler = generation.model_dump(mode="json", include=_SAMPLER) if draws else {}
    scorer = context.model.scorer_identity if training.evaluation else ""
    own = {"resolution": context.resolution, "sampler": sampler, "scorer": scorer}
    return canonical_json({**training.model_dump(mode="json"), **own})


def gate_id(spec: VariantSpec, context: RunContext) -> str:
    """The identity of a variant's trial by the quality gate: a stricter gate is another trial."""
    checks = context.config.checks
    trial = [GATE_VERSION, spec.id, [check.model_dump(mode="json") for check in checks]]
    judged = any(asks_scorer(find_check(check.name)) for check in checks)
    return content_id([*trial, context.model.scorer_identity] if judged else trial)


def image_id(spec: VariantSpec, channel: Channel, title: str) -> str:
    """The identity of a variant's rendition for a channel, with the product's title in it: 64 hex digits."""
    return content_id([spec.id, channel.rules, title, FINISHER_VERSION])


def slot_of(spec: VariantSpec, channel: str) -> str:
    """The place of an image: what it shows, whatever its pixels are."""
    return f"{spec.sku}/{channel}/{spec.name}"


def scene_photo_key(photo: str, side_maximum: int) -> str:
    """Where the store keeps a scene's photograph, by the sha256 of its file: whole, and its shorter side `side_maximum`
    pixels long at most."""
    return f"cache/scenes/{content_id(['photograph', photo, side_maximum])}.png"
