"""Where a product roughly is in a picture of which no mask is known, so that a crop need not cut it."""

import cv2
import numpy as np

from tasks.imaging.cut_out import cut_out
from tasks.imaging.pixels import Mask, Rgb


def spot(rgb: Rgb) -> Mask | None:
    """The convex hull of what stands out, which holds parts that do not; None where nothing does."""
    found = cut_out(rgb) >= 0.5
    if found.all() or not found.any():
        return None
    hull = cv2.convexHull(np.argwhere(found)[:, ::-1].astype(np.int32))
    return np.asarray(cv2.fillConvexPoly(np.zeros(found.shape, np.float32), hull, 1.0))
