"""Edges, as a ControlNet for Canny edges is shown them."""

import numpy as np
from scipy.ndimage import binary_erosion
from skimage.color import rgb2gray
from skimage.feature import canny

from tasks.imaging.pixels import Bools, Mask, Rgb


def canny_edges(rgb: Rgb, sigma: float = 1.2) -> Bools:
    """Where `rgb` has edges (Canny 1986), (height, width); `sigma` in pixels."""
    return np.asarray(canny(rgb2gray(rgb), sigma))


def product_edges(rgb: Rgb, mask: Mask) -> Rgb:
    """White lines on black: the edges of the product that `mask` shows, and its outline. Shadows have none."""
    solid = mask >= 0.5
    inside = binary_erosion(solid, iterations=2)  # at its border the outline is the one line
    lines = (canny_edges(rgb) & inside) | (solid & ~binary_erosion(solid))
    return np.repeat(lines[..., None].astype(np.uint8) * 255, 3, 2)
