"""Prepared photos, drafts and scenes, read back from the store as arrays."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from threading import Condition

import numpy as np
from cachetools import LRUCache, cached

from catalog_schemas.draft import Draft
from catalog_schemas.errors import Rejected
from catalog_schemas.reference import Reference
from tasks.imaging.decode import decode
from tasks.imaging.recolour import recolour
from tasks.imaging.rim import free_rim
from tasks.imaging.transparency import off_white
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import CutOut, Mask, Pixels, Rgb

_OWN = 1 << 40  # what packshot wrote itself needs no cap on its pixels
_KEPT = 1 << 29  # bytes of photos that are held for the next variant
_SCENES = 4  # photographs of scenes that are held, some 20 MB each
PhotoReader = Callable[[Reference, str, str], CutOut]
SceneReader = Callable[[str], Rgb]


class PictureLost(ObjectMissing):
    """A picture of a cache is gone, or was damaged and is deleted: a run that begins anew makes it again."""


def photo_key(photo: str) -> str:
    """Where the store keeps the prepared photo of that id."""
    return f"cache/references/{photo}.png"


def small_photo_key(photo: str) -> str:
    """Where it keeps a small one of it, for people to look at."""
    return f"cache/references/{photo}-small.webp"


def photo_reader(store: ObjectStore) -> PhotoReader:
    """Photos to cut out, each in the colour that the first hex code names, or as it is for "". The second is that of
    its own colour, or "" where nobody said.

    As `read_reference`, but with the colours of a transparent photo as they were before it was laid on white, and
    without the old background in the product's rim. For threads that share it: one is read, and recoloured, once for
    variants that follow one another.
    """
    kept = LRUCache[tuple[str, str, str], CutOut](_KEPT, lambda photo: photo.rgb.nbytes + photo.mask.nbytes)

    @cached(kept, key=lambda reference, *colours: (reference.id, *colours), condition=Condition())
    def read(reference: Reference, hexadecimal: str, own: str) -> CutOut:
        if hexadecimal:
            return in_colour(read(reference, "", ""), hexadecimal, own)
        return cut_free(_read_cut_out(store, reference))

    return read


def cut_free(photo: CutOut) -> CutOut:
    """The photo without the old background in the product's rim."""
    return CutOut(*free_rim(photo.rgb, photo.mask))


def in_colour(photo: CutOut, hexadecimal: str, own: str) -> CutOut:
    """The photo, its rim already free, with its product in that colour. `own` is as `recolour` takes it.

    Recoloured, a rim shows what was left in it of the background, and is freed of that, too.
    """
    return cut_free(replace(photo, rgb=recolour(photo.rgb, photo.mask, hexadecimal, own)))


def scene_reader(store: ObjectStore) -> SceneReader:
    """Scenes by their keys, for threads that share it: one is read once for variants that follow one another."""
    return cached(LRUCache[str, Rgb](_SCENES), condition=Condition())(partial(read_picture, store))


def _read_cut_out(store: ObjectStore, reference: Reference) -> CutOut:
    photo = read_reference(store, reference)
    return replace(photo, rgb=off_white(photo.rgb, photo.mask)) if reference.mask_source == "alpha" else photo


def read_reference(store: ObjectStore, reference: Reference) -> CutOut:
    """The photo's pixels and mask."""
    return CutOut(read_picture(store, reference.image_key), _mask(store, reference.mask_key))


def read_draft(store: ObjectStore, draft: Draft) -> Pixels:
    """The draft's pixels, and its mask where it has one."""
    rgb = np.ascontiguousarray(read_picture(store, draft.image_key))
    return Pixels(rgb, _mask(store, draft.mask_key) if draft.mask_key else None)


def read_picture(store: ObjectStore, key: str) -> Rgb:
    """A picture that packshot itself has written. A damaged one of a cache is deleted, so that it is made again; one
    that is gone is not, for another thread or run may be writing it.

    Raises StoreError, and PictureLost for a lost or damaged one of a cache.
    """
    try:
        return decode(store.read(key), _OWN).rgb
    except (ObjectMissing, Rejected) as fault:
        if not key.startswith("cache/"):
            raise
        is_damaged = isinstance(fault, Rejected)
    if is_damaged:
        store.delete([key])
    found = "was damaged and is deleted" if is_damaged else "is gone"
    raise PictureLost(f"{store.uri(key)}: {found}; run again, and it is made anew")


def _mask(store: ObjectStore, key: str) -> Mask:
    """A mask as it was written; an empty one is no fault here, for the checks measure it."""
    return read_picture(store, key)[..., 0].astype(np.float32) / 255.0
