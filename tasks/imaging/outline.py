"""Find a product before a plain backdrop by its outline alone, so that white on white is found too.

Colours cannot tell a white mug from white paper, but a product's edge is sharp where light and shadow are soft. What
sharp edges fence off from the picture's border is the product, apart from what is seen through it (between the legs of
a chair) and its shadow. `cut_out` weighs this against what colours say.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import color

from tasks.imaging.colour import to_linear
from tasks.imaging.grab_cut import grab_cut
from tasks.imaging.pixels import Bools, Floats, Rgb, nearest

_PLAIN = 0.18  # of a plain backdrop's border nine tenths are smoother, in the units of `Outline.sharp`
_FAINTEST = 0.2  # an edge, in the same units: white on white has 0.5
_GAPS = (1, 2, 3, 4, 6)  # pixels by which edges are widened, one after the other, to close their gaps
_ALIKE = 0.02  # two hues, in the logarithm of light: paper and its shadow differ less, most products more


@dataclass(frozen=True)
class Outline:
    """`sharp`: by how many CIELAB units a pixel the colour jumps, above what soft light does; `edges`: where.

    `lab` is the picture in CIELAB, as it came.
    """

    lab: Floats
    sharp: Floats
    edges: Bools


def outline_of(rgb: Rgb) -> Outline | None:
    """The edges of a picture of some 320 pixels a side; None where its surroundings are not plain."""
    lab = np.asarray(color.rgb2lab(rgb), dtype=np.float32)
    return _outline(lab, lab) or _outline(lab, _without_noise(lab))  # which costs the faintest edges


def _outline(lab: Floats, clean: Floats) -> Outline | None:
    # A step is four times as steep at a quarter of the blur, a shadow's slope hardly: this keeps the steps.
    sharp = np.maximum(_slope(clean, 1.0) - 1.5 * _slope(clean, 4.0), 0.0)
    rough = float(np.percentile(sharp[_frame(sharp.shape)], 90))
    if rough > _PLAIN:
        return None
    faintest = max(_FAINTEST, 1.2 * rough)
    lines, count = ndimage.label(sharp > faintest, np.ones((3, 3)))
    real = np.bincount(lines.ravel(), minlength=count + 1) >= 8
    real &= ndimage.maximum(sharp, lines, np.arange(count + 1)) > 2 * faintest
    real[0] = False
    return Outline(lab, sharp, real[lines])


def _without_noise(lab: Floats) -> Floats:
    channels = [cv2.medianBlur(np.ascontiguousarray(lab[..., channel]), 5) for channel in range(3)]
    return np.stack(channels, axis=-1)


def fenced_off(rgb: Rgb, outline: Outline) -> Bools | None:
    """What the edges fence off from the picture's border, without shadow and see-through parts; None if nothing.

    None too where it fills much of the border: folds out of focus have soft edges, but no backdrop that they end at.
    """
    fenced = _fenced(outline.lab, outline.edges)
    if not 0.002 < fenced.mean() < 0.9 or fenced[_frame(fenced.shape)].mean() > 0.2:
        return None
    inside = _without_fringe(rgb, fenced, _surroundings(rgb, fenced, outline.edges), outline.edges)
    inside = _widened(_eroded(inside, 1), 1)
    pieces, count = ndimage.label(inside, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray(np.isin(pieces, np.flatnonzero(sizes > 0.12 * sizes.max()))) if count else None


def agreement(inside: Bools | None, outline: Outline) -> float:
    """How well a mask follows an outline, 0 to 1: the share of its rim that is an edge, and of the edges that it holds.

    Their harmonic mean, as a search is judged by precision and recall.
    """
    if inside is None or not inside.any() or inside.all():
        return 0.0
    rim = inside & ~_eroded(inside, 1)
    along = (rim & _widened(outline.edges, 2)).sum() / rim.sum()
    weights = outline.sharp * outline.edges
    held = (weights * _widened(inside, 2)).sum() / max(float(weights.sum()), 1e-6)
    return float(2 * along * held / max(along + held, 1e-6))


def _slope(lab: Floats, blur: float) -> Floats:
    smooth = cv2.GaussianBlur(lab, (0, 0), blur)
    across, down = np.gradient(smooth, axis=1), np.gradient(smooth, axis=0)
    return np.asarray(np.sqrt((across**2 + down**2).sum(axis=2)))


def _frame(shape: tuple[int, ...]) -> Bools:
    """The picture's border, but for the middle of its lower edge, where products stand."""
    edge, corner = max(4, round(0.04 * min(shape))), shape[1] // 4
    frame = np.zeros(shape, bool)
    frame[:edge] = frame[:, :edge] = frame[:, -edge:] = True
    frame[-edge:, :corner] = frame[-edge:, -corner:] = True
    return frame


def _fenced(lab: Floats, edges: Bools) -> Bools:
    """What cannot be reached from the border without crossing an edge.

    An outline has gaps where light meets light. Edges are widened to close them, what they enclose is narrowed again,
    and what a wider reach adds counts only where it is a body, not the filling of a notch.
    """
    border = np.zeros(edges.shape, bool)
    border[0] = border[-1] = border[:, 0] = border[:, -1] = True
    usual = np.median(lab[_frame(edges.shape)], axis=0)
    fenced = np.zeros(edges.shape, bool)
    for reach in _GAPS:
        areas, _ = ndimage.label(~_widened(edges, reach))
        # A product that is cut off by the border touches it too, but has another colour than most of it.
        outside = [
            area
            for area in np.unique(areas[border & (areas > 0)])
            if np.linalg.norm((np.median(lab[areas == area], axis=0) - usual) * (0.5, 1.0, 1.0)) < 14.0
        ]
        inside = _eroded(np.pad(~np.isin(areas, outside), reach, mode="edge"), reach)[reach:-reach, reach:-reach]
        if reach > _GAPS[0]:
            added, _ = ndimage.label(inside & ~fenced)
            bodies = np.unique(added[_eroded(added > 0, reach + 1)])
            inside = np.isin(added, bodies[bodies > 0])
        fenced |= inside
    return fenced


def _surroundings(rgb: Rgb, fenced: Bools, edges: Bools) -> Bools:
    """The areas between the edges inside a fence that are backdrop: seen through the product, or in its shadow.

    Both have the backdrop's colour, which is known from a smooth fit to all that lies outside and from what lies
    nearest. Where that would be most of the product, it has nearly that colour itself: then only what has it exactly.
    """
    light = np.log(to_linear(rgb) + 0.02)
    backdrops = _smooth_fit(light, ~fenced), nearest(light, ~_widened(fenced, 3))
    unlike = [_unlike(light, backdrop) for backdrop in backdrops]
    smooth = fenced & ~edges
    areas, _ = ndimage.label(smooth)
    bodies = 1 + np.flatnonzero(np.bincount(areas.ravel())[1:] > 6)
    for exactly in (False, True):
        alike = [index for index in bodies if _is_backdrop(areas == index, fenced, unlike, exactly)]
        surroundings = np.isin(areas, alike)
        if surroundings.sum() <= 0.5 * smooth.sum():
            return surroundings
    return np.zeros_like(fenced)


def _is_backdrop(area: Bools, fenced: Bools, unlike: list[tuple[Floats, Floats]], exactly: bool) -> bool:
    """Whether an area is seen through the product or, unless it must match exactly, its shadow, which falls below."""
    rows = np.flatnonzero(fenced.any(axis=1))
    depth = (np.flatnonzero(area.any(axis=1)).mean() - rows[0]) / max(1, rows[-1] - rows[0])
    ring = _widened(area, 3) & ~area
    enclosed = (ring & ~fenced).sum() < 0.1 * ring.sum()
    alike = _ALIKE / 4 if exactly else _ALIKE
    for brightness, tint in ((float(np.median(b[area])), float(np.median(t[area]))) for b, t in unlike):
        seen_through = enclosed and depth > 0.24 and tint < alike and abs(brightness) < 3 * alike
        below = (depth > 0.55 and tint < alike) or (depth > 0.88 and tint < 0.05)
        shadow = not exactly and below and -1.0 < brightness < -0.12
        if seen_through or shadow:
            return True
    return False


def _unlike(light: Floats, backdrop: Floats) -> tuple[Floats, Floats]:
    """How much brighter than the backdrop each pixel is, and how much its hue differs; both logarithms of light."""
    difference = light - backdrop
    brightness = difference.mean(axis=2)
    return brightness, np.abs(difference - brightness[..., None]).max(axis=2)


def _smooth_fit(values: Floats, where: Bools) -> Floats:
    """A quadratic surface through `values` (height, width, channels) at `where`, by least squares."""
    height, width = where.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    factors = np.linalg.lstsq(terms[where], values[where], rcond=None)[0]
    return np.asarray(terms @ factors)


def _without_fringe(rgb: Rgb, fenced: Bools, surroundings: Bools, edges: Bools) -> Bools:
    """The fenced area, its uncertain pixels (edges, rims) divided by GrabCut."""
    rim = fenced & ~_eroded(fenced, 2)
    seeds = np.where(fenced, cv2.GC_FGD, cv2.GC_BGD).astype(np.uint8)
    seeds[fenced & (edges | rim | _widened(surroundings, 1))] = cv2.GC_PR_FGD
    seeds[surroundings] = cv2.GC_BGD
    if not (seeds == cv2.GC_FGD).any():
        return fenced & ~surroundings
    return grab_cut(rgb, seeds, rounds=3)


def _disc(radius: int) -> npt.NDArray[np.uint8]:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (x * x + y * y <= radius * radius + radius).astype(np.uint8)


def _widened(area: Bools, radius: int) -> Bools:
    return cv2.dilate(area.astype(np.uint8), _disc(radius)).astype(bool)


def _eroded(area: Bools, radius: int) -> Bools:
    return cv2.erode(area.astype(np.uint8), _disc(radius)).astype(bool)
