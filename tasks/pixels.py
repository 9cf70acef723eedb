"""Prepared photos and drafts, read back from the store as arrays."""

import numpy as np

from catalog_schemas.draft import Draft
from catalog_schemas.reference import Reference
from tasks.imaging.decode import decode, decode_mask
from tasks.storage.objects import ObjectStore
from tasks.techniques import CutOut, Pixels, Rgb

_OWN = 1 << 40  # what packshot wrote itself needs no cap on its pixels


def read_reference(store: ObjectStore, reference: Reference) -> CutOut:
    """The photo's pixels and mask."""
    rgb = decode(store.read(reference.image_key), _OWN).rgb
    return CutOut(rgb, decode_mask(store.read(reference.mask_key), rgb.shape[:2]))


def read_draft(store: ObjectStore, draft: Draft) -> Pixels:
    """The draft's pixels, and its mask where it has one."""
    rgb: Rgb = np.ascontiguousarray(decode(store.read(draft.image_key), _OWN).rgb)
    mask = decode_mask(store.read(draft.mask_key), rgb.shape[:2]) if draft.mask_key else None
    return Pixels(rgb, mask)
