"""Enlarges what the model has drawn, by the network that `model.upscaler` names: scenes once for the whole catalog."""

import threading
from collections.abc import Iterable
from dataclasses import replace

from catalog_schemas.identity import content_id
from catalog_schemas.image import ImageRecord
from catalog_schemas.variant import VariantSpec
from tasks.generating.drawing import is_drawn_alone, kept_scene, scene_key
from tasks.imaging.decode import encode_png
from tasks.imaging.pixels import scale_mask, scale_rgb
from tasks.publishing.json_columns import SPEC
from tasks.runtime.context import RunContext
from tasks.storage.objects import ObjectStore
from tasks.techniques import Material, Pixels, Rgb, find_technique

_SOFT = 1.5  # times as large as drawn, from which on scaling shows
_turns = threading.Lock()  # two that wait for one scene do not both enlarge it


def enlarged(context: RunContext, spec: VariantSpec, material: Material, store: ObjectStore) -> Material:
    """The material with what was drawn enlarged, and its guide scaled alike; unchanged where no network is named.

    Where a guided technique shows a photo's pixels, that is the scene around them: no network enlarges a light.
    Raises ModelError, StoreError, and Rejected where the network's pixels are not finite.
    """
    if not spec.upscaler or material.drawn is None:
        return material
    if not is_drawn_alone(spec):
        return replace(material, drawn=_scene(context, spec, material.drawn, store))
    if find_technique(spec.technique).SOURCE_TYPE != "generated":
        scene = None if material.scene is None else _scene(context, spec, material.scene, store)
        return replace(material, scene=scene)
    drawn = _enlarged(context, spec, material.drawn)
    return replace(material, drawn=drawn, guide=material.guide and _as_large(material.guide, drawn))


def size_advice(context: RunContext, images: Iterable[ImageRecord]) -> tuple[str, ...]:
    """What whoever started the run should know of the sizes of these images."""
    drawn = [one for one in images if one.prompt]
    large = [one for one in drawn if max(one.width, one.height) >= _SOFT * context.resolution]
    soft = [one for one in large if not SPEC.validate_json(one.spec).scene_photo]
    if context.model.upscaler or not soft:
        return ()
    return (
        f"{len(soft)} of {len(drawn)} images that the model has drawn in are scaled up from the {context.resolution} "
        "pixels that it draws, which is soft: docs/techniques.md says how a network (model.upscaler) does better",
    )


def _enlarged(context: RunContext, spec: VariantSpec, drawn: Rgb) -> Rgb:
    from tasks.imaging.upscaler import load_upscaler  # onnxruntime is loaded where there is work for it

    assert spec.side_maximum is not None, "who enlarges knows how far"
    return load_upscaler(context.model.upscaler)(drawn, spec.side_maximum)


def _scene(context: RunContext, spec: VariantSpec, drawn: Rgb, store: ObjectStore) -> Rgb:
    """The enlarged scene, as another product of this or an earlier run has left it, or made now."""
    key = f"cache/scenes/{content_id([scene_key(spec), spec.upscaler, spec.side_maximum])}.png"
    scene = kept_scene(store, key)
    if scene is None:
        with _turns:
            scene = kept_scene(store, key)
            if scene is None:
                scene = _enlarged(context, spec, drawn)
                store.write(key, encode_png(scene))
    return scene


def _as_large(guide: Pixels, drawn: Rgb) -> Pixels:
    height, width = drawn.shape[:2]
    mask = None if guide.mask is None else scale_mask(guide.mask, width, height)
    return Pixels(scale_rgb(guide.rgb, width, height), mask)
