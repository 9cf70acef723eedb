"""What the model draws for a chunk's variants: scenes once for the whole catalog, products with their adapters.

A picture without an adapter is the same for all products that stand in it. It is kept at `cache/scenes/<id>.png`, where
the id is the hash of all that determines it, and drawn alone, so that its bits are the same whoever asks for it first.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

from catalog_schemas.identity import content_id
from catalog_schemas.variant import VariantSpec
from tasks.context import RunContext
from tasks.imaging.decode import encode_png
from tasks.pixels import read_picture
from tasks.progress import Progress
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import Rgb
from tasks.threads import each

Arrived = Callable[[VariantSpec, Rgb | None], None]
Scenes = dict[str, list[VariantSpec]]  # the variants that show a scene, by its key


def draw(
    context: RunContext, specs: list[VariantSpec], adapters: dict[str, str], store: ObjectStore, arrived: Arrived
) -> None:
    """Hands each variant's picture to `arrived` as soon as it is there, or None where its pixels were not finite.

    `adapters` holds the store keys of LoRA files by adapter id. Raises ModelError and StoreError.
    """
    scenes: Scenes = defaultdict(list)
    for spec in specs:
        if not spec.adapter_id:
            scenes[_key(spec)].append(spec)
    for key, scene in zip(list(scenes), each(partial(_kept, store), scenes), strict=True):
        if scene is not None:
            for spec in scenes.pop(key):
                arrived(spec, scene)
    own = [spec for spec in specs if spec.adapter_id]
    if scenes or own:
        _draw_new(context, scenes, own, adapters, store, arrived)


def _draw_new(
    context: RunContext,
    scenes: Scenes,
    own: list[VariantSpec],
    adapters: dict[str, str],
    store: ObjectStore,
    arrived: Arrived,
) -> None:
    from tasks.engine.base_model import load_base  # torch and diffusers are loaded where there is something to draw
    from tasks.engine.rendering import RenderRequest, RenderSettings, render

    compute = context.config.compute
    base = load_base(Path(context.model.path), context.config.model.precision, compute.device)
    settings = RenderSettings.of(context.config.generation, context.resolution)
    files = {name: store.read(adapters[name]) for name in {spec.adapter_id for spec in own}}
    done, total = count(1), len(scenes) + len(own)

    def request(spec: VariantSpec) -> RenderRequest:
        return RenderRequest(spec.prompt, spec.negative_prompt, spec.seed, spec.adapter_id)

    with base.lock, Progress("drawing images") as progress:
        for key, waiting in scenes.items():
            scene = _kept(store, key)  # another chunk may have drawn it while this one waited for the device
            if scene is None:
                [scene] = render(base, [request(waiting[0])], settings, {}, 1)
                if scene is not None:
                    store.write(key, encode_png(scene))
            for spec in waiting:
                arrived(spec, scene)
            progress.update(next(done), total)

        def finished(number: int, image: Rgb | None) -> None:
            arrived(own[number], image)
            progress.update(next(done), total)

        render(base, [request(spec) for spec in own], settings, files, compute.batch_size, finished)


def _key(spec: VariantSpec) -> str:
    shown = (spec.base_model, spec.prompt, spec.negative_prompt, spec.seed, spec.width, spec.height)
    return f"cache/scenes/{content_id([*shown, spec.steps, spec.guidance, spec.scheduler, spec.renderer_version])}.png"


def _kept(store: ObjectStore, key: str) -> Rgb | None:
    """The scene, where an earlier chunk or run has drawn it."""
    try:
        return read_picture(store, key)
    except ObjectMissing:
        return None
