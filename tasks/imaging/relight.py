"""Light a photo's product as a model has drawn it: its detail stays the photo's, so that no label is drawn anew.

The ratio of two pictures of one thing is that of their lights (Liu, Shan and Zhang 2001, "Expressive Expression Mapping
with Ratio Images"). Light changes slowly and letters fast, so it is that of what is smooth, and of the product's pixels
alone (normalised convolution, Knutsson and Westin 1993). It is found in small pictures and applied to the large one, as
in Chen et al. 2016, "Bilateral Guided Upsampling".
"""

import cv2
import numpy as np

from tasks.imaging.colour import from_linear, to_linear
from tasks.imaging.pixels import Bools, Floats, Mask, Rgb, scale_mask, scale_rgb

_SIDE = 128  # pixels of the small pictures' longer side
_SMOOTH = 8.0  # of them: what changes within fewer is detail
_INSIDE = 0.9  # of the mask: less is mixed with what is around the product
_DARK = 0.01  # of linear light: what is darker says little of it
_BRIGHTNESS = 0.6, 1.6  # times the photo's: more is no light, but another thing drawn there
_TINT = 0.12  # the most by which light makes one of red, green and blue stronger or weaker than the others
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def relight(rgb: Rgb, mask: Mask, drawn: Rgb) -> Rgb:
    """`rgb`, its product (`mask`) in the light that is on it in `drawn`; what is around keeps its bytes.

    `drawn` shows the same at the same place, in any size. Brightness is followed from place to place. The light's
    colour is one for all of the product: another hue in one place is not light, but paint.
    """
    height, width = mask.shape
    gain = cv2.resize(_gain(rgb, mask, drawn), (width, height), interpolation=cv2.INTER_LINEAR) - 1
    gain *= mask[..., None]
    light = to_linear(rgb)
    # White stays white where it grows lighter, or what is printed on it would burn out.
    lit = from_linear(light * (1 + gain) / (1 + light * np.maximum(gain, 0)))
    return np.where(mask[..., None] > 0, lit, rgb)


def _gain(rgb: Rgb, mask: Mask, drawn: Rgb) -> Floats:
    """What the product's light is multiplied by, in a small picture (height, width, 3)."""
    shrink = _SIDE / max(mask.shape)
    height, width = (max(1, round(side * shrink)) for side in mask.shape)
    before, after = (to_linear(scale_rgb(picture, width, height)) for picture in (rgb, drawn))
    cover = scale_mask(mask, width, height)
    inside = cover >= min(_INSIDE, float(cover.max()))  # a thread is nowhere wholly covered
    ratio = _smooth(after @ _LUMINANCE, inside) / _smooth(before @ _LUMINANCE, inside)
    tint = (after[inside].mean(axis=0) + _DARK) / (before[inside].mean(axis=0) + _DARK)
    tint = np.clip(tint / (tint @ _LUMINANCE), 1 - _TINT, 1 + _TINT)
    return np.asarray(np.clip(ratio, *_BRIGHTNESS)[..., None] * tint, np.float32)


def _smooth(light: Floats, inside: Bools) -> Floats:
    """The mean light of the product's pixels around each."""
    weight = inside.astype(np.float32)
    sums = cv2.GaussianBlur(light.astype(np.float32) * weight, (0, 0), _SMOOTH)
    weights = cv2.GaussianBlur(weight, (0, 0), _SMOOTH)
    return sums / np.maximum(weights, 1e-4) + _DARK
