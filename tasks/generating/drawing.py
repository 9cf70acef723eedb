"""What the model draws for a chunk's variants: scenes once for the whole catalog, products with their adapters.

A scene of which there is a photograph is not drawn: the plan has left that one in the store. Any other picture without
an adapter is the same for all products that stand in it. It is kept at `cache/scenes/<id>.png`, where the id is the
hash of all that determines it, and drawn alone, so that its bits are the same whoever asks for it first.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from catalog_schemas.identity import content_id
from catalog_schemas.variant import VariantSpec
from tasks.imaging.decode import encode_png
from tasks.imaging.photograph import cut_to
from tasks.runtime.context import RunContext
from tasks.runtime.identities import scene_photo_key
from tasks.runtime.pictures import PictureLost, read_picture
from tasks.runtime.progress import Progress
from tasks.runtime.threads import each
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import Pixels, Rgb

if TYPE_CHECKING:
    from tasks.engine.base_model import BaseModel
    from tasks.engine.rendering import RenderSettings

Arrived = Callable[[VariantSpec, Rgb | None], None]


def is_drawn_alone(spec: VariantSpec) -> bool:
    """Whether the model draws the variant for its product: with its adapter, or guided by it."""
    return bool(spec.adapter_id) or spec.strength is not None


def has_scene(spec: VariantSpec) -> bool:
    """Whether the variant stands in a scene that all products share."""
    return bool(spec.scene_photo or _scene_prompt(spec))


def _scene_prompt(spec: VariantSpec) -> str:
    """The prompt of what is drawn first, for all products that stand in it; empty where nothing is."""
    return spec.scene_prompt or ("" if is_drawn_alone(spec) else spec.prompt)


def scene_key(spec: VariantSpec) -> str:
    """Where the store keeps the variant's scene: as the model draws it, or its photograph."""
    if spec.scene_photo:
        assert spec.side_maximum is not None, "it is given where a photo's pixels are shown"
        return scene_photo_key(spec.scene_photo, spec.side_maximum)
    shown = (spec.base_model, _scene_prompt(spec), spec.negative_prompt, spec.seed, spec.width, spec.height)
    return f"cache/scenes/{content_id([*shown, spec.steps, spec.guidance, spec.scheduler, spec.renderer_version])}.png"


def kept_scene(store: ObjectStore, key: str) -> Rgb | None:
    """The scene, where it is there already."""
    try:
        return read_picture(store, key)
    except ObjectMissing:
        return None


def draw_scenes(context: RunContext, specs: list[VariantSpec], store: ObjectStore, arrived: Arrived) -> None:
    """Hands each variant's scene to `arrived` as soon as it is there, or None where its pixels were not finite.

    Raises ModelError, StoreError, and PictureLost for a photograph that is gone.
    """
    scenes: dict[str, list[VariantSpec]] = defaultdict(list)
    for spec in specs:
        scenes[scene_key(spec)].append(spec)
    for key, scene in zip(list(scenes), each(partial(kept_scene, store), scenes), strict=True):
        if scene is not None:
            for spec in scenes.pop(key):
                arrived(spec, cut_to(scene, spec.width, spec.height) if spec.scene_photo else scene)
    if not scenes:
        return
    for key, waiting in scenes.items():
        if waiting[0].scene_photo:
            raise PictureLost(f"{store.uri(key)}: the photograph of the scene {waiting[0].scene!r} is gone; run again")
    from tasks.engine.rendering import RenderRequest, render  # torch and diffusers are loaded where there is work

    base, settings = _model(context)
    with base.lock, Progress("drawing scenes") as progress:
        for done, (key, waiting) in enumerate(scenes.items(), 1):
            scene = kept_scene(store, key)  # another chunk may have drawn it while this one waited for the device
            if scene is None:
                first = waiting[0]
                request = RenderRequest(_scene_prompt(first), first.negative_prompt, first.seed)
                [scene] = render(base, [request], settings, {}, 1)
                if scene is not None:
                    store.write(key, encode_png(scene))
            for spec in waiting:
                arrived(spec, scene)
            progress.update(done, len(scenes))


def draw_products(
    context: RunContext,
    specs: list[VariantSpec],
    guides: dict[str, Pixels],
    adapters: dict[str, bytes],
    arrived: Arrived,
) -> None:
    """Hands the picture of each variant's product to `arrived` once it is drawn, or None where it was not finite.

    `adapters` holds LoRA files by adapter id, `guides` what guided variants are drawn over or along, by variant id.
    Raises ModelError.
    """
    if not specs:
        return
    from tasks.engine.base_model import load_controlnet
    from tasks.engine.guides import Guide
    from tasks.engine.rendering import RenderRequest, render

    base, settings = _model(context)

    def request(spec: VariantSpec) -> RenderRequest:
        guide = None
        if spec.id in guides:
            control = load_controlnet(Path(context.model.controlnet), base) if spec.controlnet else None
            guide = Guide(guides[spec.id].rgb, spec.strength or 0.0, control)
        return RenderRequest(spec.prompt, spec.negative_prompt, spec.seed, spec.adapter_id, guide)

    with base.lock, Progress("drawing images") as progress:
        done = 0

        def finished(number: int, image: Rgb | None) -> None:
            nonlocal done
            done += 1
            arrived(specs[number], image)
            progress.update(done, len(specs))

        render(base, [request(spec) for spec in specs], settings, adapters, context.config.compute.batch_size, finished)


def _model(context: RunContext) -> "tuple[BaseModel, RenderSettings]":
    from tasks.engine.base_model import load_base
    from tasks.engine.rendering import RenderSettings

    model, config = context.model, context.config
    device, variant = config.compute.device, config.model.variant
    base = load_base(Path(model.path), config.model.precision, device, model.loras, variant)
    return base, RenderSettings.of(config.generation, context.resolution)
