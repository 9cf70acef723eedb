"""Numbers about images, for the quality gate. What is good enough is the configuration's business, not this file's."""

from dataclasses import dataclass

import cv2
import numpy as np
from skimage import color

from tasks.imaging.pixels import Floats, Mask, Rgb, box_of, scale_rgb, shrink_mask

_CLUSTERS = 5
# Of the longer side: nearer to the picture's frame a product is cut off, for GrabCut takes that for backdrop.
_FRAME = 0.012
_PHOTOGRAPHED = 0.25  # of a product's pixels, that differ from their right neighbour


@dataclass(frozen=True, slots=True, eq=False)
class Palette:
    """A product's main colours: CIELAB (n, 3), and the share of its pixels (n,) that each stands for."""

    colours: Floats
    shares: Floats


def uniformity(rgb: Rgb) -> float:
    """Standard deviation of the lightness in grey levels, 0 to 127: below about 3 the picture is blank."""
    return float(_grey(rgb).std())


def sharpness(rgb: Rgb, mask: Mask | None = None) -> float:
    """Variance of the Laplacian over the variance of the lightness, so that contrast does not count as focus.

    Measured at 512 pixels of the longer side, inside `mask` where given; about 0.001 is a blur, 0.05 and more crisp.
    """
    longest = 512 / max(rgb.shape[:2])
    size = max(8, round(rgb.shape[1] * longest)), max(8, round(rgb.shape[0] * longest))
    grey = cv2.resize(_grey(rgb), size, interpolation=cv2.INTER_AREA if longest < 1 else cv2.INTER_LINEAR)
    laplacian = cv2.Laplacian(grey, cv2.CV_32F)
    inside = np.ones(grey.shape, bool)
    if mask is not None:
        inside = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 0.5
        inside = inside if inside.any() else np.ones(grey.shape, bool)
    return float(laplacian[inside].var() / max(float(grey[inside].var()), 1.0))


def palette_difference(a: Palette, b: Palette) -> float:
    """CIEDE2000 of each main colour of `a` against its nearest in `b`, median by area.

    1 is barely visible side by side, 10 is another colour.
    """
    distances = color.deltaE_ciede2000(a.colours[:, None], b.colours[None]).min(axis=1)
    order = np.argsort(distances)
    middle = np.searchsorted(np.cumsum(a.shares[order]), 0.5)
    return float(distances[order][middle])


def palette(rgb: Rgb, mask: Mask) -> Palette:
    """The main colours of the product inside `mask`, or of the whole picture where that is empty."""
    inside = mask >= 0.75
    pixels = rgb[inside] if inside.any() else rgb.reshape(-1, 3)
    lab = np.asarray(color.rgb2lab(pixels[:: max(1, len(pixels) // 8000)][None])[0], dtype=np.float32)
    if len(lab) < _CLUSTERS * 4:
        return Palette(np.median(lab, axis=0)[None], np.ones(1, np.float32))
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    _, labels, centres = cv2.kmeans(lab, _CLUSTERS, np.zeros(0, np.int32), stop, 1, cv2.KMEANS_PP_CENTERS)
    return Palette(centres, np.bincount(labels.ravel(), minlength=_CLUSTERS).astype(np.float32) / len(lab))


def fill_ratio(mask: Mask) -> float:
    """The longer side of the product's box as a share of the picture's side along it; 0.0 for an empty mask."""
    if not (mask >= 0.5).any():
        return 0.0
    rows, columns = box_of(mask)
    height, width = mask.shape
    return max((rows.stop - rows.start) / height, (columns.stop - columns.start) / width)


def cut_out_confidence(rgb: Rgb, mask: Mask) -> float:
    """How far a computed mask can be trusted, 0 to 1: to choose the best of a product's photos.

    The product of five scores: is there a change of colour all along the mask's edge, is the shape compact, is it clear
    of the picture's frame, is it large enough to be worth showing, and is it a photo, not a logo or a size chart.
    """
    solid = (shrink_mask(mask, 320) >= 0.5).astype(np.float32)
    edge = cv2.morphologyEx(solid, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    if not edge.any():
        return 0.0
    lab = np.asarray(color.rgb2lab(scale_rgb(rgb, solid.shape[1], solid.shape[0])), dtype=np.float32)
    window = (2 * (3 + max(solid.shape) // 100) + 1,) * 2

    def mean(weights: Floats) -> Floats:
        total = np.maximum(cv2.blur(weights, window), 1e-3)
        return np.asarray(cv2.blur(lab * weights[..., None], window) / total[..., None], dtype=np.float32)

    change = np.sqrt(((mean(solid) - mean(1.0 - solid)) ** 2).sum(axis=2))[edge]
    rows, columns = np.nonzero(solid)
    hull = cv2.contourArea(cv2.convexHull(np.stack([columns, rows], axis=1).astype(np.int32)))
    near = max(3, round(_FRAME * max(solid.shape)))
    sides = (
        solid[:near].max(axis=0),
        solid[-near:].max(axis=0),
        solid[:, :near].max(axis=1),
        solid[:, -near:].max(axis=1),
    )
    framed = max(float(side.mean()) for side in sides)
    distinct = min(1.0, float(np.percentile(change, 30)) / 40.0)
    compact = min(1.0, float(solid.sum()) / max(hull, 1.0))
    photographed = min(1.0, (1.0 - _flatness(rgb, mask)) / _PHOTOGRAPHED)
    return distinct * compact / (1.0 + 10.0 * framed) * min(1.0, float(solid.mean()) / 0.1) * photographed


def _flatness(rgb: Rgb, mask: Mask) -> float:
    """Of the product's pixels those that equal their right neighbour: 0.01 to 0.3 in photos, 0.5 in smooth renderings,
    nearly all in what was drawn with flat colours."""
    some = slice(None, None, max(1, len(rgb) // 500))  # rows: enough of them to tell
    rgb, solid = rgb[some], mask[some] >= 0.5
    equal = (rgb[:, 1:] == rgb[:, :-1]).all(axis=2)[solid[:, 1:] & solid[:, :-1]]
    return float(equal.mean()) if equal.size else 0.0


def perceptual_hash(rgb: Rgb) -> int:
    """A 64-bit difference hash: alike pictures differ in few bits, whatever their size or quality."""
    small = cv2.resize(_grey(rgb), (9, 8), interpolation=cv2.INTER_AREA)
    # Two grey levels of margin: on a flat backdrop noise would decide otherwise.
    bits = (small[:, 1:] > small[:, :-1] + 2.0).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_distance(hash_a: int, hash_b: int) -> int:
    """How many of the 64 bits differ: up to about 5 the pictures are near-duplicates."""
    return (hash_a ^ hash_b).bit_count()


def changed_cells(rgb_a: Rgb, rgb_b: Rgb) -> int:
    """How many cells of an 8 x 8 grid have visibly another colour: more than 10 apart in CIEDE2000."""
    labs = [color.rgb2lab(cv2.resize(rgb, (8, 8), interpolation=cv2.INTER_AREA)) for rgb in (rgb_a, rgb_b)]
    return int((color.deltaE_ciede2000(*labs) > 10).sum())


def _grey(rgb: Rgb) -> Floats:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.float32)
