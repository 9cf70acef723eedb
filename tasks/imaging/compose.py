"""Put the real product's own pixels into a picture: into a generated background, or onto a flat colour.

The product is drawn by nobody, since a label that has changed is worth less than one that is lit a little wrong: in a
scene darker than the photo it is a little dimmer. What makes it belong is around it: a contact shadow and a soft cast
shadow. Its rim is to be free of the old background (`rim.py`).
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from tasks.imaging.colour import from_linear, rgb_of, to_linear
from tasks.imaging.lighting import dim, shadow_side, surroundings
from tasks.imaging.pixels import Box, Floats, Mask, Rgb, box_of, scale_mask, scale_rgb, soft_box
from tasks.imaging.shadow import CAST_SHADOW, NO_SHADOW, Shadow, darkness_of, shade

Array = TypeVar("Array", Rgb, Mask)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a product stands: all lengths are shares of the picture.

    Its box fits `share` of the width and of the height, its middle is at `x`, and its lowest point stands at
    `surface` (0 is the top edge, 1 the bottom; None: it is in the middle of the height). A product that would leave the
    picture is moved inside, and made smaller if it must be.
    """

    share: float = 0.6
    x: float = 0.5
    surface: float | None = 0.85
    shadow: Shadow = CAST_SHADOW


AS_TRAINED = Placement(share=0.86, surface=None)  # as a LoRA has seen its product: large, and in the middle


def place(
    product_rgb: Rgb,
    mask: Mask,
    background_rgb: Rgb,
    placement: Placement,
    side_maximum: int | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Rgb, Mask]:
    """The product standing in `background_rgb`, and its mask there.

    `product_rgb` and `mask` are of one size, any; a product without a mask's pixel is refused with ValueError. The
    picture is of `size` (height, width; by default the background's), or larger where the product would lose pixels,
    its longer side `side_maximum` at most. The background, of the same shape, is scaled to that.
    """
    box = box_of(mask)
    size = _native(box, size or background_rgb.shape[:2], placement, side_maximum)
    background_rgb = scale_rgb(background_rgb, size[1], size[0])
    product, alpha = _lift(product_rgb, mask, box, size, placement)
    photo, scene = surroundings(product_rgb, mask), surroundings(background_rgb, alpha)
    own = product.astype(np.float32)
    dim(own, alpha, photo, scene)
    offset_x = placement.shadow.offset_x * shadow_side(photo, scene)
    shadow = replace(placement.shadow, offset_x=offset_x)
    return _joined(own, alpha, background_rgb, float(scene.light.mean()), shadow), alpha


def on_flat(
    product_rgb: Rgb,
    mask: Mask,
    hexadecimal: str,
    size: tuple[int, int],
    fill: float = 0.85,
    shadow: Shadow = NO_SHADOW,
    side_maximum: int | None = None,
) -> tuple[Rgb, Mask]:
    """The packshot: the product centred on one flat colour, and its mask there.

    `size` is (height, width), and grows as in `place`; `fill` is the share of the picture that the product's box takes
    along its tighter side. Away from product and shadow every pixel is exactly `hexadecimal`.
    """
    placement = Placement(share=fill, surface=None, shadow=shadow)
    background = np.empty((*_native(box_of(mask), size, placement, side_maximum), 3), np.uint8)
    background[:] = rgb_of(hexadecimal)
    light = float(to_linear(background[0, 0]).mean())
    product, alpha = _lift(product_rgb, mask, box_of(mask), background.shape[:2], placement)
    return _joined(product.astype(np.float32), alpha, background, light, shadow), alpha


def _joined(product: Floats, alpha: Mask, background_rgb: Rgb, light: float, shadow: Shadow) -> Rgb:
    """`product` over the background, whose mean linear light is `light`, with its shadow on it."""
    joined, darkness = background_rgb.copy(), darkness_of(alpha, shadow)
    dark = (darkness > 0.0) & (alpha < 1.0)
    joined[dark] = from_linear(shade(to_linear(background_rgb[dark]), darkness[dark], light, shadow))
    box = box_of(alpha, 1e-9)
    ground = joined[box].astype(np.float32)
    # Not in linear light: files with glass are made for programs that blend what they store, as almost all do.
    joined[box] = np.rint(ground + (product[box] - ground) * alpha[box][..., None])
    return joined


def _native(box: Box, size: tuple[int, int], placement: Placement, side_maximum: int | None) -> tuple[int, int]:
    """`size`, or that of the same shape in which the product keeps its pixels, or of `side_maximum` if that is less."""
    factor = min(1 / _ratio(box, size, placement), (side_maximum or 0) / max(size))
    return size if factor <= 1 else (round(size[0] * factor), round(size[1] * factor))


def _ratio(box: Box, size: tuple[int, int], placement: Placement) -> float:
    """What the product is scaled by in a picture of `size`."""
    rows, columns = box
    box_height, box_width = rows.stop - rows.start, columns.stop - columns.start
    height, width = size
    share, room = placement.share, 1.0 if placement.surface is None else placement.surface
    return min(share * width / box_width, share * height / box_height, room * height / box_height)


def _lift(product_rgb: Rgb, mask: Mask, box: Box, size: tuple[int, int], placement: Placement) -> tuple[Rgb, Mask]:
    """The product cropped, scaled and moved to its place in an empty picture of `size`, with its mask."""
    if not (mask >= 0.5).any():
        raise ValueError("the mask is empty: there is no product to place")
    height, width = size
    rows, columns = soft_box(mask)
    box_rows, box_columns = box
    product, alpha = product_rgb[rows, columns], mask[rows, columns]
    box_width = box_columns.stop - box_columns.start
    ratio = _ratio(box, size, placement)
    new_width, new_height = max(1, round(alpha.shape[1] * ratio)), max(1, round(alpha.shape[0] * ratio))
    product, alpha = scale_rgb(product, new_width, new_height), scale_mask(alpha, new_width, new_height)
    alpha = np.where(alpha < 0.02, 0.0, alpha).astype(np.float32)
    centred = 0.5 + (box_rows.stop - box_rows.start) * ratio / height / 2
    surface = centred if placement.surface is None else placement.surface
    bottom = round(surface * height) + round((rows.stop - box_rows.stop) * ratio)
    box_left = placement.x * width - box_width * ratio / 2
    box_left = min(max(box_left, 0.0), width - box_width * ratio)
    left = round(box_left) - round((box_columns.start - columns.start) * ratio)
    return _pasted(product, size, bottom - new_height, left), _pasted(alpha, size, bottom - new_height, left)


def _pasted(array: Array, size: tuple[int, int], top: int, left: int) -> Array:
    """`array` in a black picture of `size`, its upper left corner at (`top`, `left`); what sticks out is cut."""
    canvas = np.zeros((*size, *array.shape[2:]), array.dtype)
    y, x = max(0, top), max(0, left)
    part = array[y - top : size[0] - top, x - left : size[1] - left]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
    return canvas
