"""A product's rim without the background that it was photographed on, so that no fringe shows on a new one.

A lens blurs the two into each other, over a few pixels around the edge, whatever a mask says of them. Each such pixel
is a mixture of the product's colour a little farther in and of the background's a little farther out (the matting
equation, Porter and Duff 1984): how far it lies on the way from the one to the other is the background's share.
"""

import cv2
import numpy as np
from scipy import ndimage

from tasks.imaging.pixels import Bools, Floats, Mask, Places, Rgb, distance, nearest, soft_box

_SOFT_EDGE = 0.01  # of the longer side: half the width of the widest edge
_WITHIN, _SHARE = 3, 0.004  # how far into the product a rim reaches: pixels, and in a large photo of the longer side
_BEYOND = 2  # pixels outside the mask that may hold some of the product
_OFF = 0.12, 0.3  # of the way between the two colours, how far beside it: a pixel is then no mixture, but has its own
_UNREST = 0.12, 0.3  # the same for the colours of the background there: of a pattern no pixel is sure to be a mixture
_CONTRAST = 25.0, 60.0  # levels between the two colours: of too like ones no share is told


def free_rim(rgb: Rgb, mask: Mask) -> tuple[Rgb, Mask]:
    """The product's pixels and its mask, both without the old background in the rim.

    What lies deeper keeps its bytes, and so do half transparent parts that are wider than an edge, for glass has a
    colour of its own; and the mask there is as it was.
    """
    box = soft_box(mask)
    unmixed, cover = _unmixed(rgb[box], mask[box])
    freed, covered = rgb.copy(), mask.copy()
    freed[box], covered[box] = _spread(unmixed, mask[box]), cover
    return freed, covered


def _unmixed(rgb: Rgb, mask: Mask) -> tuple[Rgb, Mask]:
    """The rim's pixels less their share of the background, and the mask with that share taken off, or a hard mask's
    edge softened as the photo's is."""
    within = max(_WITHIN, round(_SHARE * max(mask.shape)))
    depth = _depth(mask >= 0.5)
    deep, far = depth > within, (depth < -_BEYOND) & (mask < 0.03)
    if not deep.any() or not far.any():
        return rgb, mask
    rim = (depth > -_BEYOND) & ~deep & (distance(~deep) < 2 * within + 3) & (distance(~far) < within + _BEYOND + 2)
    where = np.nonzero(rim)
    own = cv2.blur(nearest(rgb, deep), (3, 3))[where].astype(np.float32)
    old, unrest = _around(rgb, far, where, within)
    share, trust = mixture(rgb[where].astype(np.float32), own, old, unrest)
    before, inside = mask[where], depth[where]
    after = 1.0 - share
    # However it looks, the mask's edge is off by few pixels: a pale trim on a pale backdrop is left in part.
    after = np.clip(after, np.clip(inside / within, 0.0, 1.0), np.clip(1.0 + 0.65 * inside, before, 1.0))
    # A soft mask, as the photo's own transparency, is nowhere too small.
    soft = cv2.dilate(((mask > 0.03) & (mask < 0.97)).astype(np.uint8), np.ones((3, 3)))[where] > 0
    after = np.where(soft, np.minimum(after, before), after)
    cover, unmixed = mask.copy(), rgb.copy()
    cover[where] = before + (after - before) * trust
    clean = rgb[where] + (share * trust)[:, None] * (own - old)
    unmixed[where] = np.rint(np.clip(clean, 0.0, 255.0)).astype(np.uint8)
    return unmixed, cover


def _around(rgb: Rgb, far: Bools, where: Places, within: int) -> tuple[Floats, Floats]:
    """The mean colour (n, 3) of the background around each place, and how far (n,) its colours lie from it."""
    window = (2 * (within + _BEYOND + 2) + 1,) * 2
    weight = far.astype(np.float32)
    seen = rgb.astype(np.float32) * weight[..., None]
    count = np.maximum(cv2.blur(weight, window)[where], 1e-6)
    mean = cv2.blur(seen, window)[where] / count[:, None]
    square = cv2.blur((seen**2).sum(axis=2), window)[where] / count
    return mean, np.sqrt(np.maximum(square - (mean**2).sum(axis=1), 0.0))


def mixture(colours: Floats, own: Floats, old: Floats, unrest: Floats) -> tuple[Floats, Floats]:
    """The share of `old` in each colour (n, 3), and how surely it is a mixture of it and `own` at all; 0 to 1."""
    way = old - own
    length = np.maximum(np.linalg.norm(way, axis=1), 1.0)
    share = np.clip(((colours - own) * way).sum(axis=1) / length**2, 0.0, 1.0)
    off = np.linalg.norm(colours - own - share[:, None] * way, axis=1) / length
    alike = np.interp(off, _OFF, (1.0, 0.0)) * np.interp(unrest / length, _UNREST, (1.0, 0.0))
    return share, alike * np.interp(length, _CONTRAST, (0.0, 1.0))


def _depth(solid: Bools) -> Floats:
    """How many pixels each lies within the edge of `solid`, negative outside; where the frame cuts it is no edge."""
    inside = distance(np.pad(solid, 1, constant_values=True))[1:-1, 1:-1]
    return inside - distance(~solid) + np.where(solid, -0.5, 0.5)


def _spread(rgb: Rgb, mask: Mask) -> Rgb:
    """`rgb`, the mask's soft edge in the colours of the nearest solid pixels."""
    solid = mask >= 0.97
    if not solid.any() or solid.all():
        return rgb
    reach = 2 * max(2, round(_SOFT_EDGE * max(mask.shape))) + 1
    sheer = ((mask > 0.03) & ~solid).astype(np.uint8)
    sheer = cv2.morphologyEx(sheer, cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8)).astype(bool)
    # The outermost solid pixels still hold some of the old background, as the photo's lens blurred it in.
    clean = ndimage.binary_erosion(solid, border_value=1)
    spread = nearest(rgb, (clean if clean.any() else solid) | sheer)
    # The nearest pixel alone would draw streaks outwards; a small blur along the edge hides them.
    smooth = cv2.GaussianBlur(spread, (0, 0), 1.2)
    return np.where((solid | sheer)[..., None], rgb, smooth)
