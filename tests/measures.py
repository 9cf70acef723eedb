"""Numbers about images that tests and benchmarks ask for, and no check."""

import numpy as np
from skimage import color

from tasks.imaging.measure import palette, palette_difference
from tasks.imaging.pixels import Mask, Rgb


def colour_difference(rgb_a: Rgb, mask_a: Mask, rgb_b: Rgb, mask_b: Mask) -> float:
    """CIEDE2000 between the products' colours: see `palette_difference`. The pictures need no common size or pose."""
    return palette_difference(palette(rgb_a, mask_a), palette(rgb_b, mask_b))


def pixel_colour_difference(rgb_a: Rgb, rgb_b: Rgb, mask: Mask, quantile: float = 0.5) -> float:
    """CIEDE2000 pixel by pixel inside `mask`, and of those the `quantile`; 0.0 for an empty mask.

    For two pictures of one size that show the product at one place.
    """
    inside = mask >= 0.5
    if not inside.any():
        return 0.0
    lab_a, lab_b = (color.rgb2lab(rgb[inside][None])[0] for rgb in (rgb_a, rgb_b))
    return float(np.quantile(color.deltaE_ciede2000(lab_a, lab_b), quantile))


def white_share_of_border(rgb: Rgb, width: float = 0.02) -> float:
    """Share of exactly white (255, 255, 255) pixels in a border `width` of the shorter side, at least one pixel."""
    edge = max(1, round(min(rgb.shape[:2]) * width))
    border = np.ones(rgb.shape[:2], bool)
    border[edge:-edge, edge:-edge] = False
    return float((rgb[border] == 255).all(axis=1).mean())


def mask_overlap(mask_a: Mask, mask_b: Mask) -> float:
    """Intersection over union of two masks of one size; 1.0 when both are empty."""
    union = np.maximum(mask_a, mask_b).sum()
    return float(np.minimum(mask_a, mask_b).sum() / union) if union else 1.0
