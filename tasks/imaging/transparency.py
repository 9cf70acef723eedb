"""A photo's own transparency: its colours as they are in the file, and a mask that leaves its shadow out."""

import cv2
import numpy as np

from tasks.imaging.pixels import Mask, Rgb, nearest

_EMPTY = 0.02  # of alpha: less than this shows nothing
_DARK = 100  # of 255: the brightest channel of a shadow's own colour
_STEEP = 0.12  # of alpha from one pixel to the next: outlines are steeper, a soft shadow is not


def off_white(rgb: Rgb, alpha: Mask) -> Rgb:
    """`rgb` with the white taken out again that `decode` has laid it on: the file's own colours, also of glass."""
    colours = 255.0 - (255.0 - rgb) / np.maximum(alpha, _EMPTY)[..., None]
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def without_shadow(rgb: Rgb, alpha: Mask) -> Mask:
    """`alpha` without the soft, dark shadow that some files hold beside their product; packshot draws its own.

    A shadow is what is reached from the empty parts without a step in alpha. Tinted glass and thin hair are dark and
    see-through too, but have an outline.
    """
    steep = np.hypot(*np.gradient(alpha)) >= _STEEP
    dark = (off_white(rgb, alpha).max(axis=2) <= _DARK) & (alpha < 0.9) & ~steep
    _, areas = cv2.connectedComponents(((alpha < _EMPTY) | dark).astype(np.uint8), connectivity=4)
    around = np.isin(areas, np.unique(areas[alpha < _EMPTY]))
    shadow = (around & (alpha >= _EMPTY)).astype(np.uint8)
    if not cv2.erode(shadow, np.ones((5, 5), np.uint8)).any():  # no wider than an outline's own softness
        return alpha
    # The outline's own pixels lie over the shadow: what it adds to their alpha is taken off them.
    beside = cv2.dilate(around.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool) & steep & (alpha < 1.0)
    below = np.where(beside, nearest(alpha[..., None], around)[..., 0], 0.0)
    return np.where(around, 0.0, np.clip((alpha - below) / (1.0 - below), 0.0, 1.0)).astype(np.float32)
