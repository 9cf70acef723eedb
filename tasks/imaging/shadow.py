"""The shadows that a product throws on the ground: a contact shadow where it stands, and a soft cast shadow."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from tasks.imaging.colour import rgb_of, to_linear
from tasks.imaging.pixels import Floats, Mask, box_of

_FOOT = 0.2  # how far above the ground line a product may still touch the ground, seen from a little above
_DIMNESS = 0.8  # of the ground around a product's foot, as a share of the line's below it
_OVERHANG = 0.5  # how far above the ground line what hangs over still keeps light from the ground below it
_GLOOM = 0.7  # of the ground below what all but touches it, as a share of the line's
_GLOOM_BLUR = 0.04
_DEPTH = 0.2  # of a product, as a share of its width, as it is seen on the ground
_FLATNESS = 0.55  # of a circle on the ground, seen from a little above: its height as a share of its width
_NEAR, _FAR = 0.5, 2.0  # softness of a cast shadow where it begins and where it ends, as shares of `Shadow.blur`
_REACH = 0.25  # of the widest blur: three times its sigma, as a share of the product's longer side
_FADE = 0.5  # of a cast shadow's strength, lost where it ends
_SPAN = 0.3  # of the product's width: nearer to its lowest point there is no other that it stands on
_STEEP = 0.4  # rows per column: what rises more hangs over the ground
_ROUND = 0.24  # of the rise: a round foot bulges a quarter of it or more below the line from its lowest point
_ENOUGH = 640  # pixels of a product's longer side: the shadow of a larger one is that of the smaller, enlarged
_SIGMA = 4  # pixels; a wider blur is that wide in a smaller picture


@dataclass(frozen=True, slots=True)
class Shadow:
    """The shadow of a product: lengths are shares of the product's longer side, strengths are 0 (none) to 1 (black).

    `contact` is the dark line where it stands, `cast` the soft silhouette on the ground. `length` is how deep the cast
    shadow is on the ground, `offset_x` how far right it ends, `blur` its softness, `colour` its hue.
    """

    contact: float = 0.92
    cast: float = 0.6
    offset_x: float = 0.45
    length: float = 0.24
    blur: float = 0.04
    colour: str = "#1c1814"


CAST_SHADOW = Shadow()
NO_SHADOW = Shadow(contact=0.0, cast=0.0)
SOFT_SHADOW = Shadow(contact=0.5, cast=0.22, offset_x=0.02, length=0.16, blur=0.035, colour="#20222a")


class _Ground(NamedTuple):
    """The line on which a product stands: its row at the product's lowest point in `column`, and its slope."""

    row: int
    column: int
    slope: float

    def rows(self, columns: Floats | npt.NDArray[np.intp]) -> Floats:
        return self.row + self.slope * (columns - self.column)


def darkness_of(alpha: Mask, shadow: Shadow) -> Floats:
    """What share of the light that falls on the background is missing in the shadows of the product with that mask."""
    if max(shadow.cast, shadow.contact) == 0 or not (alpha >= 0.5).any():  # a thread, scaled down, is nowhere solid
        return np.zeros_like(alpha)
    scale = _ENOUGH / max(edge.stop - edge.start for edge in box_of(alpha))
    if scale < 1:
        size = (max(1, round(length * scale)) for length in alpha.shape[::-1])
        small = darkness_of(np.asarray(cv2.resize(alpha, tuple(size), interpolation=cv2.INTER_AREA)), shadow)
        return np.asarray(cv2.resize(small, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR))
    top, bottom, left, right = room = _room(alpha, shadow)
    alpha = np.asarray(cv2.copyMakeBorder(alpha, *room, cv2.BORDER_CONSTANT))
    ground = _ground(alpha)
    # One is missing from the lamp's light, the other from what comes from all around.
    light = (1.0 - shadow.cast * _cast(alpha, ground, shadow)) * (1.0 - shadow.contact * _contact(alpha, ground))
    darkness = (1.0 - light)[top : len(alpha) - bottom, left : alpha.shape[1] - right]
    return np.where(darkness < 0.004, 0.0, darkness)


def _room(alpha: Mask, shadow: Shadow) -> tuple[int, int, int, int]:
    """The pixels above, below, left and right of the picture from which a shadow that it cuts is blurred into it."""
    rows, columns = box_of(alpha)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    margins = rows.start, alpha.shape[0] - rows.stop, columns.start, alpha.shape[1] - columns.stop
    falls = 0.0, 0.0, max(0.0, -shadow.offset_x), max(0.0, shadow.offset_x)
    blur = round(_REACH * side)
    needs = (round(fall * side) + blur - margin for fall, margin in zip(falls, margins, strict=True))
    top, bottom, left, right = (min(max(0, need), blur) for need in needs)
    return top, bottom, left, right


def shade(light: Floats, darkness: Floats, mean: float, shadow: Shadow) -> Floats:
    """A part of the background, in linear light, darkened by `darkness_of` it; `mean` is that of all of its light."""
    # A shadow keeps the ground's texture: light is taken away, and only a little of the tint is laid over it.
    tint, share = to_linear(np.array(rgb_of(shadow.colour), np.uint8)), darkness[..., None]
    return (light * (1.0 - share) + tint * mean * share).astype(np.float32)


def _ground(alpha: Mask) -> _Ground:
    """Through the product's lowest point, and from there level, or up to what else it stands on: a wheel, a heel.

    It is level where two such lines rise, one to each side: a saucer's rims hang over the ground.
    """
    columns, lowest = _profile(alpha)
    row, width = int(lowest.max()), max(1, int(np.ptp(columns)))
    column = int(np.median(columns[lowest == row]))
    slopes = []
    for side in (-1, 1):
        distance = (columns - column) * side
        beyond, between = distance >= max(1.0, _SPAN * width), (distance > 0) & (distance < _SPAN * width)
        if not beyond.any():
            continue
        slope = float(((row - lowest[beyond]) / distance[beyond]).min())
        bulge = lowest[between] - (row - slope * distance[between])
        if slope <= _STEEP and bulge.max(initial=0.0) <= _ROUND * slope * _SPAN * width:
            slopes.append(-side * slope)
    return _Ground(row, column, slopes[0] if len(slopes) == 1 else 0.0)


def _profile(alpha: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The columns that the product takes, and its lowest row in each."""
    solid = alpha >= 0.5
    columns = np.flatnonzero(solid.any(axis=0))
    return columns, len(alpha) - 1 - np.argmax(solid[::-1, columns], axis=0)


def _cast(alpha: Mask, ground: _Ground, shadow: Shadow) -> Floats:
    """The silhouette laid down on the ground behind the product's foot, and blurred; its peak is 1 at most."""
    rows, columns = box_of(alpha)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    depth = max(shadow.length * side, 1.0)
    squash = min(1.0, depth / (rows.stop - rows.start))
    lean, slope = squash * shadow.offset_x * side / depth, ground.slope
    level = ground.row - slope * ground.column
    # A point at a height above the ground line falls that far behind it, squashed, and sideways the more the higher.
    matrix = np.array(
        [
            [1.0 + lean * slope, -lean, lean * level],
            [(1.0 - squash) * slope, squash, (1.0 - squash) * level],
        ]
    )
    fallen = cv2.warpAffine(alpha, matrix, alpha.shape[::-1], flags=cv2.INTER_LINEAR)
    # A lamp has a size: a shadow is the softer and the fainter the farther it falls.
    near, far = (_on_ground(fallen, share * shadow.blur * side) for share in (_NEAR, _FAR))
    x, y = np.arange(alpha.shape[1], dtype=np.float32), np.arange(len(alpha), dtype=np.float32)
    distance = np.clip((ground.rows(x) - y[:, None]) / np.float32(depth), 0.0, 1.0)
    return (near + distance * (far - near)) * (1.0 - _FADE * distance)


def _contact(alpha: Mask, ground: _Ground) -> Floats:
    """A thin dark line under the parts of the product that touch the ground, and the dimness around it and under what
    hangs low, where the product keeps the light away; its peak is 1."""
    rows, box_columns = box_of(alpha)
    side = max(rows.stop - rows.start, box_columns.stop - box_columns.start)
    columns, lowest = _profile(alpha)
    height = ground.rows(columns) - lowest
    band, near = np.zeros_like(alpha), np.clip(1.0 - (height / (_FOOT * side)) ** 2, 0.0, 1.0)
    thickness = max(1, round(0.012 * side))
    for column, row, strength in zip(columns, lowest, near, strict=True):
        band[max(0, row - thickness) : row + thickness, column] = strength
    line = _blurred(band, max(0.8, 0.018 * side), max(0.6, 0.009 * side))
    around = _on_ground(band, 0.08 * side)
    dimness = np.maximum(line / max(float(line.max()), 1e-6), _DIMNESS * around / max(float(around.max()), 1e-6))
    return np.maximum(dimness, _GLOOM * _below(alpha, columns, lowest, height, side))


def _below(
    alpha: Mask, columns: npt.NDArray[np.intp], lowest: npt.NDArray[np.intp], height: Floats, side: int
) -> Floats:
    """The ground that a product hangs over, as a car's between its wheels, taken for half an ellipse behind the line it
    stands on: the darker the lower the product hangs there; its peak is 1 at most."""
    band = np.zeros_like(alpha)
    gloom = np.clip(1.0 - height / (_OVERHANG * side), 0.0, 1.0) ** 2
    across = np.linspace(-1.0, 1.0, len(columns))
    depth = np.rint(_DEPTH * len(columns) * np.sqrt(1.0 - across**2)).astype(int)
    for column, line, deep, strength in zip(columns, np.rint(lowest + height).astype(int), depth, gloom, strict=True):
        band[max(0, line - deep) : line + 1, column] = strength
    return _on_ground(band, _GLOOM_BLUR * side)


def _on_ground(values: Floats, sigma: float) -> Floats:
    """A blur that is as deep as it is wide on the ground, which is seen from a little above."""
    return _blurred(values, max(0.8, sigma), max(0.8, _FLATNESS * sigma))


def _blurred(values: Floats, sigma_x: float, sigma_y: float) -> Floats:
    """A Gaussian blur; a wide one is made of fewer pixels, which look the same and take a tenth of the time."""
    height, width = values.shape
    across, down = max(1, int(sigma_x / _SIGMA)), max(1, int(sigma_y / _SIGMA))
    small = cv2.resize(values, (-(-width // across), -(-height // down)), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), sigmaX=sigma_x / across, sigmaY=sigma_y / down)
    return np.asarray(cv2.resize(soft, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
