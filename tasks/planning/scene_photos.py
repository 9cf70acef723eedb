"""The photographs of a shop's own scenes: identified by their bytes, and kept in the store for those that show them."""

from collections.abc import Callable, Mapping

from catalog_schemas.errors import ConfigError, Rejected
from catalog_schemas.identity import bytes_id
from catalog_schemas.rejection import Reason
from configs.entries import Scene
from tasks.imaging.decode import encode_png
from tasks.imaging.decoder_process import decode_apart
from tasks.imaging.photograph import cut_to
from tasks.imaging.pixels import shrink_rgb
from tasks.runtime.context import RunContext
from tasks.runtime.identities import scene_photo_key
from tasks.runtime.threads import each
from tasks.storage.addresses import forbidden, is_web, normal
from tasks.storage.objects import ObjectStore
from tasks.storage.sources import Sources

_LONGEST = 3  # times the shorter side: no channel shows more of a panorama, so only its middle is kept
Keep = Callable[[str, bytes], None]


def find_scene_photos(context: RunContext, keep: Keep | None = None) -> Mapping[str, tuple[str, ...]]:
    """The sha256 of each photograph of the scenes that the run may show, by scene.

    What the store lacks of them is handed to `keep`, with the key by which it is looked for. Raises ConfigError, with
    every photograph that cannot be used, and StoreError.
    """
    scenes = [one for one in context.library().scenes_named(context.config.variants.scenes) if one.photos]
    if not scenes:
        return {}
    store, faults = context.open(), list[str]()

    def found(photo: tuple[Scene, str]) -> str:
        scene, uri = photo
        try:
            return _kept(context, store, uri, keep)
        except Rejected as verdict:
            missing = verdict.reason == Reason.REFERENCE_MISSING
            what = f"{uri}: no such file" if missing else f"{uri}: {verdict.detail}"
            faults.append(f"scene {scene.name!r}: {what}")
            return ""

    ids = iter(each(found, [(scene, photo) for scene in scenes for photo in scene.photos]))
    held = {scene.name: tuple(next(ids) for _ in scene.photos) for scene in scenes}
    if faults:
        raise ConfigError("\n".join(sorted(faults)))
    return held


def _kept(context: RunContext, store: ObjectStore, photo: str, keep: Keep | None) -> str:
    """The photograph's sha256. Raises Rejected where it cannot be used."""
    config, side, most = context.config, context.resolution, context.config.generation.side_maximum
    uri = normal(photo, "/")
    if is_web(uri):
        raise forbidden(photo, "is a web address; copy the photograph into the library's folder or a bucket")
    data = Sources(uri, config.catalog).read(uri, config.catalog.reference_bytes_maximum)
    found = bytes_id(data)
    key = scene_photo_key(found, most)
    if not store.exists(key):
        rgb = decode_apart(data, config.catalog.reference_pixels_maximum).rgb
        shorter = min(rgb.shape[:2])
        if shorter < side:
            what = f"{shorter} pixels on its shorter side; the model draws {side}, so give one with as many"
            raise Rejected(Reason.REFERENCE_TOO_SMALL, what)
        if keep:
            part = cut_to(rgb, *(min(length, _LONGEST * shorter) for length in (rgb.shape[1], rgb.shape[0])))
            keep(key, encode_png(shrink_rgb(part, round(max(part.shape) * min(1, most / shorter)))))
    return found
