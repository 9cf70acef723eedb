"""A draft in a channel's shape: cropped around the product, continued where that is not enough, or padded."""

import cv2
import numpy as np
from PIL import Image

from configs.entries import Channel
from tasks.imaging.colour import rgb_of
from tasks.imaging.pixels import Mask, Rgb, border_of, box_of, scale_mask, scale_rgb, shrink_rgb

_MARGIN = 0.05  # on each side of a product that a crop keeps, as a share of its own size, where the draft has as much
_AROUND = 0.03  # how far around a product its rim is taken for it, as a share of the picture
_SHADOW = (0.36, 0.15, 0.6, 0.6)  # its shadow: above and below its foot, left and right of it, as shares of its side
_FILLED = 256  # pixels of the longer side in which the product's place is filled: smooth, and soon done
_SOFTNESS = (0.002, 0.006, 0.012)  # of what is continued, nearer and farther: sigmas, as shares of the picture
_DISTANCE = 0.3  # from the draft's edge, where it is softest


def framed(rgb: Rgb, mask: Mask | None, width: int, height: int, channel: Channel) -> Rgb:
    """`rgb` at `width` x `height`, whole on the channel's pad colour (`contain`), or cropped to fill it (`cover`).

    A crop is placed by the product, and never cuts it: where the channel's shape leaves no room for it and a small
    margin, more is seen of the draft than there is, and the background is continued. Without a mask the middle is kept.
    Where the channel asks how much the product is to fill, a draft on one flat colour is scaled until it does.
    """
    ratios = width / rgb.shape[1], height / rgb.shape[0]
    rows, columns = slice(0, rgb.shape[0]), slice(0, rgb.shape[1])
    if channel.fit == "contain":
        scale = min(ratios)
    elif mask is None:
        scale = max(ratios)
    else:
        rows, columns = box_of(mask)
        scale = min(max(ratios), width / _roomy(columns, rgb.shape[1]), height / _roomy(rows, rgb.shape[0]))
    pad = rgb_of(channel.pad)
    if mask is not None and (channel.fill_minimum > 0 or channel.fill_maximum < 1) and _is_flat(rgb):
        rows, columns = box_of(mask)
        pad, scale = rgb[0, 0], filling(rows, columns, width, height, scale, channel)
    source_rows, top, inner_height = visible(rows, rgb.shape[0], height, scale)
    source_columns, left, inner_width = visible(columns, rgb.shape[1], width, scale)
    inner = scale_rgb(np.ascontiguousarray(rgb[source_rows, source_columns]), inner_width, inner_height)
    if inner.shape[:2] == (height, width):
        return inner
    if mask is None or channel.fit == "contain":
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = pad
    else:
        ground = _without(inner, rgb, mask, source_rows, source_columns)
        canvas = _continued(ground, top, left, (height, width))
    canvas[top : top + inner_height, left : left + inner_width] = inner
    return canvas


def filling(rows: slice, columns: slice, width: int, height: int, scale: float, channel: Channel) -> float:
    """`scale`, or what it must be for the longer side of the product in these rows and columns to fill as asked."""
    drawn = scale * max((columns.stop - columns.start) / width, (rows.stop - rows.start) / height)
    # Half a percent inside the bounds, since pixels are whole.
    return scale * min(max(drawn, channel.fill_minimum + 0.005), channel.fill_maximum - 0.005) / drawn


def _is_flat(rgb: Rgb) -> bool:
    """Whether the picture's border is of one colour, as it is around a cut-out whose shadow does not reach it."""
    return bool((border_of(rgb) == rgb[0, 0]).all())


def _roomy(product: slice, side: int) -> float:
    """What must be seen along one side: the product and its margins, or all that the draft has."""
    return min(side, (product.stop - product.start) * (1 + 2 * _MARGIN))


def visible(product: slice, side: int, length: int, scale: float) -> tuple[slice, int, int]:
    """What of the draft is seen along one side, where it begins in a picture of `length`, and how much it takes there.

    The product is in the middle, as far as the draft reaches.
    """
    middle = (product.start + product.stop) / 2
    if length > side * scale:
        inner = max(1, min(length, round(side * scale)))
        return slice(0, side), min(max(0, round(length / 2 - middle * scale)), length - inner), inner
    cropped = min(side, max(1, round(length / scale)))
    start = min(max(0, round(middle - cropped / 2)), side - cropped)
    return slice(start, start + cropped), 0, length


def _without(inner: Rgb, rgb: Rgb, mask: Mask, source_rows: slice, source_columns: slice) -> Rgb:
    """`inner`, which shows these rows and columns of the draft, with the place of product and shadow filled.

    It is filled row by row from both its sides in the draft: scenes lie in layers.
    """
    small = shrink_rgb(rgb, _FILLED)
    lines, columns = np.arange(small.shape[0])[:, None], np.arange(small.shape[1])
    small_mask = scale_mask(mask, small.shape[1], small.shape[0])
    reach = 2 * round(_AROUND * max(small_mask.shape)) + 1
    near = cv2.dilate(small_mask, np.ones((reach, reach), np.uint8))
    near[_shadow_of(small_mask)] = 1.0
    near[:, [0, -1]] = small_mask[:, [0, -1]]  # where the draft ends just beside the product, that is the background
    product = near >= 0.02
    before = np.maximum.accumulate(np.where(product, -1, columns), axis=1)
    after = np.minimum.accumulate(np.where(product, len(columns), columns)[:, ::-1], axis=1)[:, ::-1]
    share = (columns - before) / np.maximum(after - before, 1)
    share = np.where(before < 0, 1.0, np.where(after == len(columns), 0.0, share))[..., None]
    filled = small[lines, np.maximum(before, 0)] * (1 - share) + small[lines, np.minimum(after, columns[-1])] * share
    across, down = len(columns) / rgb.shape[1], len(lines) / rgb.shape[0]
    seen = (
        source_columns.start * across,
        source_rows.start * down,
        source_columns.stop * across,
        source_rows.stop * down,
    )
    ground, hidden = (
        np.asarray(Image.fromarray(values).resize(inner.shape[1::-1], Image.Resampling.BILINEAR, seen))
        for values in (np.rint(filled).astype(np.uint8), product.astype(np.uint8) * 255)
    )
    return np.where(hidden[..., None] > 0, ground, inner)


def _shadow_of(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns that the product's shadow may lie in."""
    rows, columns = box_of(mask)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    above, below, left, right = (round(share * side) for share in _SHADOW)
    return (
        slice(max(0, rows.stop - above), rows.stop + below),
        slice(max(0, columns.start - left), columns.stop + right),
    )


def _continued(rgb: Rgb, top: int, left: int, size: tuple[int, int]) -> Rgb:
    """`rgb` mirrored at its edges in a picture of `size`, and the softer the farther from them."""
    bottom, right = top + rgb.shape[0], left + rgb.shape[1]
    canvas = cv2.copyMakeBorder(rgb, top, size[0] - bottom, left, size[1] - right, cv2.BORDER_REFLECT)
    turned = canvas.swapaxes(0, 1)
    for strip in (canvas[:top][::-1], canvas[bottom:], turned[:left][::-1], turned[right:]):
        if len(strip):
            _soften(strip, max(size))
    return canvas


def _soften(strip: Rgb, longer: int) -> None:
    """Blurs `strip` in place, the more the farther down; `longer` is the picture's longer side."""
    sharp = np.ascontiguousarray(strip)
    soft = sharp.astype(np.float32)
    far = np.arange(len(strip), dtype=np.float32)[:, None, None] / longer / _DISTANCE * len(_SOFTNESS)
    for step, sigma in enumerate(_SOFTNESS):
        if far[-1] > step:
            blurred = cv2.GaussianBlur(sharp, (0, 0), sigma * longer, borderType=cv2.BORDER_REFLECT)
            soft += np.clip(far - step, 0, 1) * (blurred - soft)
    strip[:] = np.rint(soft)
