"""Find the product in a photo by a network that has learned to: an ONNX file of IS-Net, U²-Net, BiRefNet or the like.

Such networks take a picture of one size and give, for each of its pixels, how surely it belongs to what the picture is
of: Qin et al. 2020 (arXiv:2005.09007), Qin et al. 2022 (arXiv:2203.03041), Zheng et al. 2024 (arXiv:2401.03407).
"""

from threading import Condition

import numpy as np
from cachetools import cached

from catalog_schemas.errors import ModelError
from tasks.imaging.network import Network
from tasks.imaging.pixels import Mask, Rgb, scale_mask, scale_rgb

Colour = tuple[float, float, float]

_SIDE = 1024  # pixels, for a network that takes any size


class Segmenter:
    """The network. It takes pixels in 0 to 1, less `mean` and divided by `std`: red, green and blue."""

    def __init__(self, path: str, mean: Colour, std: Colour) -> None:
        self._network = Network(path)
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)

    def __call__(self, rgb: Rgb) -> Mask:
        """How surely each pixel of `rgb` belongs to the product, 0 to 1. Raises ModelError."""
        network = self._network
        scaled = scale_rgb(rgb, network.width or _SIDE, network.height or _SIDE)
        answer = network((scaled.astype(np.float32) / np.float32(255.0) - self._mean) / self._std)
        if answer.ndim != 4 or answer.shape[:2] != (1, 1):
            raise ModelError(f"{network.path}: expected a mask (1, 1, height, width), but it gives {answer.shape}")
        height, width = rgb.shape[:2]
        return scale_mask(_probabilities(np.nan_to_num(answer[0, 0])), width, height)


@cached({}, condition=Condition())
def load_segmenter(path: str, mean: Colour, std: Colour) -> Segmenter:
    """The network in a local file, loaded once per process. Raises ModelError."""
    return Segmenter(path, mean, std)


def _probabilities(answer: Mask) -> Mask:
    """The answer itself, or where it is logits, which leave 0 to 1 on any picture, their logistic function."""
    if answer.min() >= -1e-3 and answer.max() <= 1 + 1e-3:
        return np.clip(answer, 0.0, 1.0)
    return np.asarray(1 / (1 + np.exp(-np.clip(answer, -60.0, 60.0))), dtype=np.float32)
