"""Find the product in a photo without any learned weights, so that it runs anywhere and is the same everywhere.

A network that has learned to do it does better and may be given; all but the last paragraph is about doing without.

Three steps, on a small copy: a saliency map (what differs from the photo's border, and is fenced off from it by
edges), GrabCut seeded by it (Rother et al. 2004), and the choice of the pieces that are the product. Before a plain
backdrop, which may have the product's own colour, `outline.py` finds it by its edges alone, and the better fit of the
two is taken. The edge is then found again at full size with a guided filter (He et al. 2010).

It is good on backdrops and calm surroundings, and only fair where the product touches busy things: a catalog's own
mask, or the photo's transparency, is always better and is used where there is one.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import TypeGuard

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage import color, graph

from tasks.imaging.grab_cut import grab_cut
from tasks.imaging.outline import Outline, agreement, fenced_off, outline_of
from tasks.imaging.pixels import Bools, Floats, Mask, Places, Rgb, border_of, scale_mask, shrink_rgb

Segment = Callable[[Rgb], Mask]
"""How surely each pixel belongs to the product, 0 to 1."""

_SIDE = 320  # pixels of the copy that is segmented: products keep their shape, GrabCut takes a fraction of a second
_SIDE_OF_NETWORKS = 1024  # pixels: more than most take
_SMALLEST = 16  # a strip of fewer pixels has no border to learn a background from
_BORDER_COLOURS = 5
_WHOLE = 0.95  # agreement above which colours and edges may overrule a network
_CRUMB = 0.01  # of the longer side: a detached piece or a hole whose area is less than this squared is noise
_SPECK = 0.02  # of the largest piece that a network finds: less than this is none
_MARGIN = 0.03  # of agreement with the outline, by which what is less often right must fit better


def cut_out(rgb: Rgb, segment: Segment | None = None) -> Mask:
    """The product's mask: 1 inside, 0 outside, soft where its edge is.

    When nothing stands out (a blank photo, a texture that fills the frame) all of the photo is the product. What
    `segment` finds is taken, unless that is nothing, or colours and edges clearly know better.
    """
    return cut_out_of(rgb, segment)[0]


def cut_out_of(rgb: Rgb, segment: Segment | None = None) -> tuple[Mask, bool]:
    """The same mask, and whether no more than a plain backdrop was seen around the product."""
    whole = np.ones(rgb.shape[:2], np.float32)
    small = shrink_rgb(rgb, _SIDE)
    if min(small.shape[:2]) < _SMALLEST:
        return whole, True
    outline = outline_of(small)
    plain, inside = outline is not None, cache(partial(_inside, small, outline))  # most of the work without a network
    if segment is not None:
        larger = shrink_rgb(rgb, _SIDE_OF_NETWORKS)
        learned = _decided(segment(larger))
        seen = scale_mask(learned, small.shape[1], small.shape[0]) >= 0.5
        overruled = outline is not None and _is_overruled(seen, inside(), outline)
        if _is_something(seen) and not overruled:
            return _refine(rgb, larger, learned), plain
    found = inside()
    return _refine(rgb, small, found.astype(np.float32)) if _is_something(found) else whole, plain


def _inside(small: Rgb, outline: Outline | None) -> Bools | None:
    """Where the product is, by its colours or, before a plain backdrop, by its outline where that fits it better."""
    saliency = _saliency(small)
    found = None if saliency is None else _pieces(_grab_cut(small, saliency), saliency, small)
    if outline is None:
        return found
    fenced = fenced_off(small, outline)
    return fenced if _fits_better(fenced, found, outline) else found


def _decided(learned: Mask) -> Mask:
    """A network's mask, its doubts (a plinth, a plate) decided, so that none shows as haze or specks."""
    decided = np.clip((learned - 0.5) * 4.0 + 0.5, 0.0, 1.0)
    pieces, count = ndimage.label(decided >= 0.5, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    specks = 1 + np.flatnonzero(sizes < _SPECK * sizes.max(initial=0))
    decided[ndimage.binary_dilation(np.isin(pieces, specks))] = 0.0
    return decided


def _is_something(inside: Bools | None) -> TypeGuard[Bools]:
    return inside is not None and 0.002 < inside.mean() < 0.97


def _fits_better(one: Bools | None, usual: Bools | None, outline: Outline) -> bool:
    """Whether `one` is to be taken; the other is right more often."""
    return agreement(one, outline) > agreement(usual, outline) + _MARGIN


def _is_overruled(seen: Bools, inside: Bools | None, outline: Outline) -> bool:
    """Whether colours and edges are right before a plain backdrop where a network is not."""
    return agreement(inside, outline) > _WHOLE and _fits_better(inside, seen, outline)


def _saliency(rgb: Rgb) -> Floats | None:
    """How much each pixel looks like the product, 0 to 1; None when the photo is one flat colour."""
    lab = np.asarray(color.rgb2lab(rgb), dtype=np.float32)
    lab = cv2.bilateralFilter(lab, 7, 12.0, 4.0)
    unlike = _distance_from_border_colours(lab)
    fenced = _distance_from_border(lab)
    if unlike.max() < 4.0:  # CIELAB units: below what an eye would call another colour
        return None
    height, width = unlike.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    centred = np.exp(-((x / 0.75) ** 2 + (y / 0.8) ** 2))
    return _unit(_unit(unlike) + _unit(fenced)) * (0.45 + 0.55 * centred)


def _distance_from_border_colours(lab: Floats) -> Floats:
    """Each pixel's CIELAB distance from the nearest of the border's colours, in units of that colour's own spread."""
    border = np.concatenate([lab[:6].reshape(-1, 3), lab[:, :6].reshape(-1, 3), lab[:, -6:].reshape(-1, 3)])
    # The lower corners belong to the floor, the middle of the lower edge often to the product itself.
    third = lab.shape[1] // 4
    border = np.concatenate([border, lab[-6:, :third].reshape(-1, 3), lab[-6:, -third:].reshape(-1, 3)])
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    labels = np.zeros((len(border), 1), np.int32)
    _, labels, centres = cv2.kmeans(border, _BORDER_COLOURS, labels, stop, 1, cv2.KMEANS_PP_CENTERS)
    least = np.full(lab.shape[:2], np.inf, np.float32)
    for index, centre in enumerate(centres):
        members = border[labels.ravel() == index]
        if len(members) < 0.04 * len(border):
            continue
        spread = max(3.0, float(np.sqrt(members.var(axis=0).sum())))
        difference = (lab - centre) * np.array([0.8, 1.0, 1.0], np.float32)  # shadows change lightness, not colour
        least = np.minimum(least, np.sqrt((difference**2).sum(axis=2)) * (6.0 / (6.0 + spread)))
    return least


def _distance_from_border(lab: Floats) -> Floats:
    """Geodesic distance (Wei et al. 2012): how much colour change lies on the easiest way out of the picture."""
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.0)
    change = np.zeros(lab.shape[:2], np.float32)
    for axis in (0, 1):
        change += (np.gradient(smooth, axis=axis) ** 2).sum(axis=2)
    cost = np.maximum(np.sqrt(change) - 1.0, 0.0) + 0.02
    height, width = cost.shape
    starts = [(y, x) for y in range(0, height, 2) for x in (0, width - 1)]
    starts += [(y, x) for x in range(0, width, 2) for y in (0, height - 1)]
    distance, _ = graph.MCP_Geometric(cost).find_costs(starts)
    return np.asarray(distance, dtype=np.float32)


def _unit(values: Floats) -> Floats:
    low, high = np.percentile(values, [2, 99])
    return np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0).astype(np.float32)


def _grab_cut(rgb: Rgb, saliency: Floats) -> Bools:
    """Where GrabCut, started from the saliency's thresholds, sees the product."""
    threshold = _otsu(saliency)
    seeds = np.full(saliency.shape, cv2.GC_PR_BGD, np.uint8)
    seeds[saliency > threshold] = cv2.GC_PR_FGD
    seeds[saliency > max(threshold * 1.5, float(np.percentile(saliency, 97)))] = cv2.GC_FGD
    seeds[saliency < threshold * 0.12] = cv2.GC_BGD
    seeds[:2], seeds[:, :2], seeds[:, -2:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    foreground = seeds & 1  # OpenCV's labels of both foregrounds are odd
    if foreground.all() or not foreground.any():
        return saliency > threshold
    return grab_cut(rgb, seeds, rounds=4)


def _otsu(values: Floats) -> float:
    scaled = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold) / 255.0


def _pieces(inside: Bools, saliency: Floats, small: Rgb) -> Bools:
    """The product is the most salient piece and what is nearly as large; small holes are closed."""
    opened = ndimage.binary_opening(inside)
    # A gap of a pixel or two does not part a handle from its mug.
    labels, count = ndimage.label(ndimage.binary_dilation(opened), structure=np.ones((3, 3)))
    if count == 0:
        return inside
    weights = ndimage.sum_labels(saliency * opened, labels, np.arange(1, count + 1))
    kept = opened & np.isin(labels, 1 + np.flatnonzero(weights > 0.35 * weights.max()))
    # Thin parts that the opening took come back where they grow from the product.
    kept = ndimage.binary_dilation(kept, iterations=6, mask=inside)
    kept = ndimage.binary_closing(np.pad(kept, 4), iterations=2)[4:-4, 4:-4]
    return kept | _blemishes(small, kept)


def _blemishes(small: Rgb, kept: Bools) -> Bools:
    """The small holes that belong to the product: prints and highlights, but not what is seen through a handle."""
    holes, count = ndimage.label(~kept)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    fills = (sizes > 0) & (sizes <= 0.02 * kept.sum())
    outer = np.unique(np.append(border_of(holes), 0))
    fills[outer] = False
    outside = np.isin(holes, outer) & ~kept
    lab = np.asarray(color.rgb2lab(small), dtype=np.float32)
    for index in np.flatnonzero(fills & (sizes > 20)):
        fills[index] = not _seen_through(lab, outside, holes, int(index))
    return np.asarray(fills[holes])


def _seen_through(lab: Floats, outside: Bools, holes: npt.NDArray[np.int32], index: int) -> bool:
    """Whether a hole has a thin wall, and behind that wall the same colour as in the hole: then it is a handle's."""
    rows, columns = ndimage.find_objects(holes, index)[index - 1]
    reach = max(rows.stop - rows.start, columns.stop - columns.start)
    window = (
        slice(max(0, rows.start - reach), rows.stop + reach),
        slice(max(0, columns.start - reach), columns.stop + reach),
    )
    hole = holes[window] == index
    distance = ndimage.distance_transform_edt(~hole)
    beyond = outside[window] & (distance < 0.6 * reach)
    if beyond.sum() < 8:
        return False
    behind = beyond & (distance < distance[beyond].min() + 5)
    return float(np.linalg.norm(np.median(lab[window][hole], axis=0) - np.median(lab[window][behind], axis=0))) < 18.0


def _refine(rgb: Rgb, small: Rgb, inside: Mask) -> Mask:
    """The mask of the small copy at full size, its edge moved to the photo's own edges in a narrow band."""
    height, width = rgb.shape[:2]
    coarse = scale_mask(inside, width, height)
    radius = max(2, round(max(height, width) / 190))
    disc = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    band = np.nonzero(cv2.dilate(coarse, disc) - cv2.erode(coarse, disc) > 0.02)
    sharp = np.clip((_guided(rgb, small, inside, band) - 0.5) * 2.2 + 0.5, 0.0, 1.0)
    mask = np.rint(coarse)
    mask[band] = np.where(sharp < 0.03, 0.0, np.where(sharp > 0.97, 1.0, sharp))
    return _tidied(mask, coarse)


def _tidied(mask: Mask, coarse: Mask) -> Mask:
    """The mask without the band's noise: pieces and holes that are smaller than any in the small copy's mask."""
    least = (max(mask.shape) * _CRUMB) ** 2
    _, pieces, sizes, _ = cv2.connectedComponentsWithStats((mask > 0.03).astype(np.uint8), connectivity=8)
    areas = sizes[:, cv2.CC_STAT_AREA]
    crumbs = areas < min(least, areas[1:].max(initial=0))
    crumbs[0] = False
    _, holes, sizes, _ = cv2.connectedComponentsWithStats((mask < 0.97).astype(np.uint8), connectivity=4)
    pinholes = sizes[:, cv2.CC_STAT_AREA] < least
    pinholes[0] = False
    pinholes[np.unique(holes[coarse < 0.5])] = False
    return np.where(crumbs[pieces], 0.0, np.where(pinholes[holes], 1.0, mask)).astype(np.float32)


def _guided(rgb: Rgb, small: Rgb, values: Mask, where: Places) -> Floats:
    """`values` at the pixels `where` of `rgb`, following its edges: in every window a linear function of the channels.

    The functions are fitted in the small copy and applied at full size (He and Sun 2015, arXiv:1505.00996).
    """

    def mean(array: Floats) -> Floats:
        return cv2.blur(array, (9, 9))

    height, width = values.shape
    guide = small.astype(np.float32) / np.float32(255.0)
    guide_mean, values_mean = mean(guide), mean(values)
    covariance = mean(guide * values[..., None]) - guide_mean * values_mean[..., None]
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(height, width, 9))
    variance = products.reshape(height, width, 3, 3) - guide_mean[..., :, None] * guide_mean[..., None, :]
    slope = np.linalg.solve(variance + 1e-4 * np.eye(3, dtype=np.float32), covariance[..., None])[..., 0]
    offset = values_mean - (slope * guide_mean).sum(axis=2)
    fitted = mean(np.dstack([slope, offset]).astype(np.float32))
    at = [(one + 0.5) * (few / many) - 0.5 for one, few, many in zip(where, values.shape, rgb.shape, strict=False)]
    *slopes, offset = (ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in np.moveaxis(fitted, 2, 0))
    colours = rgb[where] / np.float32(255.0)
    return np.asarray((np.stack(slopes, axis=1) * colours).sum(axis=1) + offset, dtype=np.float32)
