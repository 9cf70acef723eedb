"""GrabCut (Rother et al. 2004) by OpenCV, the same every time."""

import cv2
import numpy as np
import numpy.typing as npt

from tasks.imaging.pixels import Bools, Rgb


def grab_cut(rgb: Rgb, seeds: npt.NDArray[np.uint8], rounds: int) -> Bools:
    """Where the product is, from OpenCV's labels (height, width), of which both kinds of foreground are odd.

    `seeds` must hold a foreground and a background.
    """
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    labels = seeds.copy()
    cv2.grabCut(np.ascontiguousarray(rgb[..., ::-1]), labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return np.asarray(labels & 1, dtype=bool)
