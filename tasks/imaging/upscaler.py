"""Enlarge what a model has drawn, by a network that has learned how: an ONNX file of Real-ESRGAN, SwinIR or the like.

Such networks (Wang et al. 2021, arXiv:2107.10833; Liang et al. 2021, arXiv:2108.10257) make of each pixel a square of
some. A large picture is given to them in overlapping tiles, so that memory does not grow with it.
"""

import math
from collections.abc import Iterator
from functools import cached_property
from threading import Condition

import numpy as np
from cachetools import cached

from catalog_schemas.errors import ModelError, Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging.network import Network
from tasks.imaging.pixels import Rgb, shrink_rgb

_TILE = 320  # pixels, for a network that takes any size: Real-ESRGAN needs about a gigabyte for them
_OVERLAP = 16  # pixels around a tile that its answer may depend on, and that others show
_LEAST = 64  # pixels a side of a tile that is worth it
_MULTIPLE = 8  # that networks with windows, or that begin by folding pixels, may need sides to be of


class Upscaler:
    """The network. It takes and gives pixels in 0 to 1: red, green and blue."""

    def __init__(self, path: str) -> None:
        self._network = Network(path)

    @cached_property
    def factor(self) -> int:
        """By how much it enlarges each side, found by trying. Raises ModelError where it does something else."""
        network = self._network
        height, width = network.height or _LEAST, network.width or _LEAST
        if min(height, width) < _LEAST:
            raise ModelError(
                f"{network.path}: expected a network for pictures of any size, or of at least {_LEAST} pixels a side, "
                f"but it takes only {width} x {height}"
            )
        answer = network(np.full((height, width, 3), 0.5, np.float32))
        factor = answer.shape[-1] // width
        if answer.shape != (1, 3, height * factor, width * factor) or factor < 2:
            raise ModelError(
                f"{network.path}: expected a network that makes a picture (1, 3, {height}, {width}) two or more times "
                f"as large, but it gives {answer.shape}"
            )
        return factor

    def __call__(self, rgb: Rgb, side_maximum: int) -> Rgb:
        """`rgb` enlarged, its longer side to `side_maximum` at most; unchanged where it is as long already.

        Raises ModelError, and Rejected RENDER_FAILED where the network's pixels are not finite.
        """
        if max(rgb.shape[:2]) >= side_maximum:
            return rgb
        factor = self.factor
        height, width = rgb.shape[:2]
        large = np.empty((height * factor, width * factor, 3), np.uint8)
        for rows in _spans(height, self._network.height):
            for columns in _spans(width, self._network.width):
                inner = (
                    slice(rows.start * factor, rows.stop * factor),
                    slice(columns.start * factor, columns.stop * factor),
                )
                large[inner] = self._tile(rgb, rows, columns)
        return shrink_rgb(large, side_maximum)

    def _tile(self, rgb: Rgb, rows: slice, columns: slice) -> Rgb:
        """What the network makes of the rows and columns, which it is given with what is around them."""
        factor, network = self.factor, self._network
        top, left = min(_OVERLAP, rows.start), min(_OVERLAP, columns.start)
        seen = rgb[rows.start - top : rows.stop + _OVERLAP, columns.start - left : columns.stop + _OVERLAP]
        height, width = (
            own or -(-side // _MULTIPLE) * _MULTIPLE
            for own, side in zip((network.height, network.width), seen.shape[:2], strict=True)
        )
        padded = np.pad(seen, ((0, height - seen.shape[0]), (0, width - seen.shape[1]), (0, 0)), "symmetric")
        answer = network(padded.astype(np.float32) / np.float32(255.0))[0].transpose(1, 2, 0)
        if not np.isfinite(answer).all():
            raise Rejected(
                Reason.RENDER_FAILED, "the upscaler's pixels were not finite; in half precision it may overflow"
            )
        size = rows.stop - rows.start, columns.stop - columns.start
        inner = tuple(
            slice(edge * factor, (edge + side) * factor) for edge, side in zip((top, left), size, strict=True)
        )
        return np.asarray(np.rint(np.clip(answer[inner], 0.0, 1.0) * 255), np.uint8)


@cached({}, condition=Condition())
def load_upscaler(path: str) -> Upscaler:
    """The network in a local file, loaded once per process. Raises ModelError."""
    return Upscaler(path)


def _spans(side: int, tile: int | None) -> Iterator[slice]:
    """The side in parts of about one length, each of which fits a tile with what overlaps."""
    tile = tile or _TILE
    parts = 1 if side <= tile else math.ceil(side / (tile - 2 * _OVERLAP))
    length = math.ceil(side / parts)
    for start in range(0, side, length):
        yield slice(start, min(start + length, side))
