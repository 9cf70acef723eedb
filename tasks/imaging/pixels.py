"""What every file of this room shares: the array types, and scaling."""

from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Rgb = npt.NDArray[np.uint8]
"""(height, width, 3), sRGB."""

Mask = npt.NDArray[np.float32]
"""(height, width), 0 outside the product and 1 inside."""

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

Box = tuple[slice, slice]
"""Rows and columns of a part of a picture."""

Places = tuple[npt.NDArray[np.signedinteger], ...]
"""Rows and columns."""

_FAINT = 0.1  # of a mask: what shows less may be cut off

_Number = TypeVar("_Number", bound=np.generic)


def scale_rgb(rgb: Rgb, width: int, height: int) -> Rgb:
    """`rgb` at exactly `width` x `height` pixels, by Lanczos."""
    if rgb.shape[:2] == (height, width):
        return rgb
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))


def scale_mask(mask: Mask, width: int, height: int) -> Mask:
    """`mask` at exactly `width` x `height` pixels; bicubic, so that a soft edge stays soft and does not ring."""
    if mask.shape == (height, width):
        return mask
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.float32))
    return np.clip(np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)), 0.0, 1.0)


def shrink_rgb(rgb: Rgb, longest: int) -> Rgb:
    """`rgb` with its longer side at most `longest` pixels; never larger than it was."""
    height, width = rgb.shape[:2]
    ratio = min(1.0, longest / max(height, width))
    return scale_rgb(rgb, max(1, round(width * ratio)), max(1, round(height * ratio)))


def shrink_mask(mask: Mask, longest: int) -> Mask:
    """`mask` with its longer side at most `longest` pixels; never larger than it was."""
    height, width = mask.shape
    ratio = min(1.0, longest / max(height, width))
    return scale_mask(mask, max(1, round(width * ratio)), max(1, round(height * ratio)))


def box_of(mask: Mask, threshold: float = 0.5) -> Box:
    """Rows and columns that `mask` reaches `threshold` in; the whole picture when it does nowhere."""
    inside = mask >= threshold
    if not inside.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def soft_box(mask: Mask) -> Box:
    """The box of what `mask` shows, however faint, with room for its soft edge."""
    rows, columns = box_of(mask, _FAINT)
    margin = 3 + max(rows.stop - rows.start, columns.stop - columns.start) // 50
    return (
        slice(max(0, rows.start - margin), min(mask.shape[0], rows.stop + margin)),
        slice(max(0, columns.start - margin), min(mask.shape[1], columns.stop + margin)),
    )


def border_of(values: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """The outermost pixels of a picture or mask (height, width, …), those of the corners twice."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def nearest(values: npt.NDArray[_Number], where: Bools) -> npt.NDArray[_Number]:
    """For each pixel the values (height, width, channels) of the nearest one in `where`, which must hold some."""
    _, numbers = cv2.distanceTransformWithLabels(
        (~where).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    return np.take(values[where], numbers - 1, axis=0)


def distance(where: Bools, mask: int = cv2.DIST_MASK_3) -> Floats:
    """Of each pixel in `where` to the nearest that is not, about; with `cv2.DIST_MASK_5` nearer the truth."""
    return np.asarray(cv2.distanceTransform(where.astype(np.uint8), cv2.DIST_L2, mask))


def core(where: Bools, width: int) -> npt.NDArray[np.uint8]:
    """What lies deeper in `where` than `width` pixels."""
    return np.asarray(cv2.erode(where.astype(np.uint8), np.ones((2 * width + 1,) * 2)), dtype=np.uint8)
