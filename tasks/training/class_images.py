"""Images of a plain class prompt, drawn once by the base model for the whole catalog, for prior preservation.

They lie at `cache/class_images/<id>/<n>.png`, where the id is the hash of the base model, the prompt and the sampler.
"""

from dataclasses import asdict
from functools import partial

from catalog_schemas.errors import ModelError
from catalog_schemas.identity import content_id
from tasks.engine.base_model import BaseModel
from tasks.engine.rendering import RenderRequest, RenderSettings, render
from tasks.imaging.decode import encode_png
from tasks.runtime.context import RunContext
from tasks.runtime.pictures import read_picture
from tasks.runtime.versions import RENDERER_VERSION
from tasks.storage.objects import ObjectStore
from tasks.techniques import Rgb
from tasks.training.photos import Pictures


def class_images(
    context: RunContext, base: BaseModel, store: ObjectStore, prompt: str
) -> Pictures[str, Rgb] | tuple[()]:
    """As many images of `prompt` as the recipe rehearses; those that the store lacks are drawn now.

    Raises ModelError and StoreError.
    """
    count = context.config.training.prior_images
    if not count:
        return ()
    settings = RenderSettings.of(context.config.generation, context.resolution)
    identity = content_id([context.model.identity, prompt, asdict(settings), RENDERER_VERSION])
    keys = [f"cache/class_images/{identity}/{number}.png" for number in range(count)]
    with base.lock:  # another cohort may have drawn them while this one waited for the device
        missing = [number for number, key in enumerate(keys) if not store.exists(key)]
        requests = [RenderRequest(prompt, "", number) for number in missing]
        drawn = render(base, requests, settings, {}, context.config.compute.batch_size)
        for number, image in zip(missing, drawn, strict=True):
            if image is None:
                raise ModelError(f"{context.model.path}: the base model gave no finite image for {prompt!r}")
            store.write(keys[number], encode_png(image))
    return Pictures(partial(read_picture, store), keys)
