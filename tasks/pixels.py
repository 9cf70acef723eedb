"""Prepared photos and drafts, read back from the store as arrays."""

import numpy as np

from catalog_schemas.draft import Draft
from catalog_schemas.reference import Reference
from tasks.imaging.decode import decode
from tasks.storage.objects import ObjectStore
from tasks.techniques import CutOut, Mask, Pixels, Rgb

_OWN = 1 << 40  # what packshot wrote itself needs no cap on its pixels


def read_reference(store: ObjectStore, reference: Reference) -> CutOut:
    """The photo's pixels and mask."""
    return CutOut(decode(store.read(reference.image_key), _OWN).rgb, _mask(store, reference.mask_key))


def read_draft(store: ObjectStore, draft: Draft) -> Pixels:
    """The draft's pixels, and its mask where it has one."""
    rgb: Rgb = np.ascontiguousarray(decode(store.read(draft.image_key), _OWN).rgb)
    return Pixels(rgb, _mask(store, draft.mask_key) if draft.mask_key else None)


def _mask(store: ObjectStore, key: str) -> Mask:
    """A mask as it was written; an empty one is no fault here, for the checks measure it."""
    return decode(store.read(key), _OWN).rgb[..., 0].astype(np.float32) / 255.0
