"""The part of a photograph of a scene in which a product is put, and that draft in the whole of it again."""

from dataclasses import replace

import numpy as np

from tasks.imaging.colour import from_linear, to_linear
from tasks.imaging.framing import visible
from tasks.imaging.pixels import Floats, Mask, Rgb, scale_rgb, shrink_mask, shrink_rgb
from tasks.imaging.shadow import CAST_SHADOW, NO_SHADOW, Shadow, darkness_of, shade

_SMALL = 160  # pixels of the longer side of the pictures in which a draft's shadow is known
_UNSEEN = 0.02  # of a mask, or of linear light: nothing is said there of what the shadow took


def cut_to(rgb: Rgb, width: int, height: int) -> Rgb:
    """The largest part of the shape `width` to `height` around the middle of `rgb`, at its own size."""
    rows, columns = _middle(rgb, width, height)
    return rgb[rows, columns]


def widened(rgb: Rgb, mask: Mask, photograph: Rgb) -> tuple[Rgb, Mask]:
    """A draft in the whole of the photograph of which it shows the middle, at the draft's scale, and its mask there.

    A shadow that the draft's edge has cut goes on in the photograph.
    """
    height, width = rgb.shape[:2]
    rows, columns = _middle(photograph, width, height)
    scale = max(height / (rows.stop - rows.start), width / (columns.stop - columns.start))
    size = max(height, round(photograph.shape[0] * scale)), max(width, round(photograph.shape[1] * scale))
    top, left = min(round(rows.start * scale), size[0] - height), min(round(columns.start * scale), size[1] - width)
    place = slice(top, top + height), slice(left, left + width)
    whole, there = scale_rgb(photograph, size[1], size[0]).copy(), np.zeros(size, np.float32)
    there[place] = mask
    scene = _light(whole[place])
    darkness = darkness_of(there, _shadow_of(_light(rgb), scene, shrink_mask(mask, _SMALL)))
    darkness[place] = 0.0
    dark = darkness > 0.0
    whole[dark] = from_linear(shade(to_linear(whole[dark]), darkness[dark], float(scene.mean()), CAST_SHADOW))
    whole[place] = rgb
    return whole, there


def _shadow_of(draft: Floats, scene: Floats, mask: Mask) -> Shadow:
    """What of `compose.place` has taken light from the scene to make the draft: a shadow to one side or to the other,
    or none at all, as where another technique has drawn it."""
    seen = (mask < _UNSEEN) & (scene > _UNSEEN)
    lost = 1.0 - draft[seen] / scene[seen]
    shadows = [NO_SHADOW, *(replace(CAST_SHADOW, offset_x=side * CAST_SHADOW.offset_x) for side in (1, -1))]
    return min(shadows, key=lambda shadow: float(np.abs(darkness_of(mask, shadow)[seen] - lost).sum()))


def _light(rgb: Rgb) -> Floats:
    """A small picture's linear light, of all colours together."""
    return np.asarray(to_linear(shrink_rgb(rgb, _SMALL)).mean(axis=2))


def _middle(rgb: Rgb, width: int, height: int) -> tuple[slice, slice]:
    """The rows and columns of the largest part of that shape around the middle."""
    scale = max(width / rgb.shape[1], height / rgb.shape[0])
    rows, _, _ = visible(slice(0, rgb.shape[0]), rgb.shape[0], height, scale)
    columns, _, _ = visible(slice(0, rgb.shape[1]), rgb.shape[1], width, scale)
    return rows, columns
