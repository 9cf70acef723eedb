"""The light around a product, in its photo and in a scene: to which side its shadow falls, and how much of what the
ground and all around reflect onto it is missing where a scene is darker than the photo was.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tasks.imaging.colour import to_linear
from tasks.imaging.pixels import Bools, Floats, Mask, Rgb, box_of

_SIDE = 128  # pixels of the small pictures in which light is looked for
_ABOVE, _BELOW, _BESIDE = 0.3, 0.08, 0.3  # of a product's side: the ground around its foot, where its shadow lies
_DARK = 0.02  # of linear light: what is darker says little of it
_FALLS = 0.04  # by how much, in logarithms, that ground grows darker from its middle to its end: less is no shadow
_LIT = 0.04  # of half the width, that a scene's light lies aside: less is its pattern, as a wall's or a floor's
# Of a product's light: what comes from all around, and off the ground to its foot. In truth it is more, but colours are
# to be off by no more than 2 in the median (CIEDE2000), as a shop asks of composites, in dark scenes too.
_AROUND, _OFF_GROUND = 0.07, 0.18
_TOE = 0.055 * 255  # sRGB is this less than a multiple of light to the power of 1 / 2.4, but for its first levels


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """A small picture in linear light (height, width, 3), where it is `free` of the product, and the product's box."""

    light: Floats
    free: Bools
    rows: slice
    columns: slice


def surroundings(rgb: Rgb, mask: Mask) -> Surroundings:
    """The surroundings of the product that `mask` shows in a photo, or is to stand in in a scene."""
    scale = _SIDE / max(mask.shape)
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    cover = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    free = cv2.dilate(cover, np.ones((5, 5), np.uint8)) < 0.02
    return Surroundings(to_linear(np.asarray(small, np.uint8)), free, *box_of(cover))


def shadow_side(photo: Surroundings, scene: Surroundings) -> int:
    """1 where the product's shadow is to fall to the right, -1 to the left.

    As in the photo, where the ground beside the product shows it, for there the product is lit from the other side.
    Else away from the side on which the scene is clearly lighter, and else to the right.
    """
    darker = _darker_to_the_right(photo)
    if abs(darker) > _FALLS:
        return 1 if darker > 0 else -1
    # A row counts as much as any other, however bright it is, so that a sky does not outweigh the ground.
    grey = scene.light.mean(axis=2)
    aside = (grey @ np.linspace(-1.0, 1.0, grey.shape[1])) / np.maximum(grey.sum(axis=1), 1e-3)
    return -1 if float(aside.mean()) > _LIT else 1


def _darker_to_the_right(photo: Surroundings) -> float:
    """By how much the ground around a product's foot grows darker, in logarithms, from its middle to its right end: the
    regression of all its rows."""
    rows, columns = photo.rows, photo.columns
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    reach = min(round(_BESIDE * side), columns.start, photo.free.shape[1] - columns.stop)
    ground = (
        slice(max(0, rows.stop - round(_ABOVE * side)), rows.stop + round(_BELOW * side)),
        slice(columns.start - reach, columns.stop + reach),
    )
    free = photo.free[ground].astype(np.float32)
    light = np.log(photo.light[ground].mean(axis=2) + _DARK)
    count = np.maximum(free.sum(axis=1, keepdims=True), 1.0)
    x = np.linspace(-1.0, 1.0, free.shape[1], dtype=np.float32)
    aside = free * (x - (free * x).sum(axis=1, keepdims=True) / count)
    return -float((aside * light).sum() / max(float((aside**2).sum()), 1e-6))


def dim(product: Floats, alpha: Mask, photo: Surroundings, scene: Surroundings) -> None:
    """Dims `product` (height, width, 3; sRGB, 0 to 255), in place, where the scene around `alpha` is darker than the
    photo was: the more the nearer to the ground, each of red, green and blue for itself, by 24 % of its light at most.
    """
    around, ground = (
        1.0 - np.clip(new / old, 0.0, 1.0) for new, old in zip(_reflecting(scene), _reflecting(photo), strict=True)
    )
    box = rows, _ = box_of(alpha, 0.01)
    low = np.linspace(0.0, 1.0, rows.stop - rows.start)[:, None] ** 2
    gain = (1.0 - _AROUND * around) * (1.0 - _OFF_GROUND * ground * low)
    shown = product[box]
    shown += _TOE
    shown *= gain[:, None].astype(np.float32) ** (1 / 2.4)
    shown -= _TOE
    np.maximum(shown, 0.0, out=shown)


def _reflecting(surroundings: Surroundings) -> tuple[Floats, Floats]:
    """The mean light (3,) of all that is around a product, and of the ground it stands on; 1 where none is seen."""
    free = surroundings.free.copy()
    around = _mean(surroundings.light, free)
    free[: surroundings.rows.stop - round(0.1 * (surroundings.rows.stop - surroundings.rows.start))] = False
    return around, _mean(surroundings.light, free)


def _mean(light: Floats, where: Bools) -> Floats:
    return np.asarray(light[where].mean(axis=0) + _DARK) if where.any() else np.ones(3)
