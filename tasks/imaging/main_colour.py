"""A product's main colour, in OKLab, and how much each of its pixels belongs to it."""

import cv2
import numpy as np

from tasks.imaging.colour import rgb_of, to_oklab
from tasks.imaging.pixels import Bools, Floats, core

_CLUSTERS = 6
_OUTLINE = 0.02  # of the longer side: how wide a product's outline is taken to be
_COLOURED = 0.75  # more than grey, black and white count: of products in two colours these are labels, soles and faces
_SCALE = np.array([0.5, 1.0, 1.0], np.float32)  # of OKLab: light and shade tell less of a material than its hue does
_NAMED, _NEAR = 5.0, 0.1  # how much more a colour counts that the catalog names, and how near it is to that
_GREY = 0.045  # OKLab chroma below which an eye calls a surface grey, black or white
_DEEPEST = 4.0  # a darker shade is not told from black
_BINS = 32
_PARTED = 0.3  # of the lesser heap: where fewer pixels lie between two heaps of colours, they are two materials
# How far a colour is within the limits that is asked whether it is another material's: ink of a like hue is not, or an
# edge that mirrors what is around, between the two in hue, would count as ink.
_GREY_WITHIN, _COLOURED_WITHIN = 0.02, 0.5
_PART = 0.02, 0.4  # of the pixels alike: fewer are noise, and more are the product itself, half in the shade

_FAINT, _SURE, _HARDLY = 12, 153, 0.25  # of 255, what is more than nothing and what belongs; the share that must

_Limits = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""Where colours begin and cease to differ from the main one, in each of `_differences`."""

_COLOURED_LIMITS: _Limits = (0.35, 0.7), (0.35, 0.7), (0.6, 0.88)
_GREY_LIMITS: _Limits = (0.22, 0.36), (0.22, 0.36), (0.045, 0.085)
_GREY_GROUP: _Limits = (0.08, 0.16), (0.08, 0.16), (0.045, 0.085)  # of one material in one light
_PALER_APART, _LIGHTER_APART, _TINT_APART = 0.25, 0.15, 0.012  # nearer than this is no other material
_SHADED = 0.3  # of its lightness a side lacks that is turned away from the light


def main_colour(lab: Floats, solid: Bools, own: str) -> tuple[Floats, Floats]:
    """The main colour (3,) of the product that `solid` shows in a picture, and how much each pixel belongs to it.

    `lab` is the picture (height, width, 3); what comes is (height, width), 0 to 1. The main colour is that of the group
    of alike colours that has most of the product and of its outline: a clock's face and a pair of lenses may be larger
    than what holds them, and end within it. Where somebody has said which colour it is (`own`, a hex code, or ""),
    colours near that count for more.
    """
    pixels, outline = _sample(lab[solid]), _sample(lab[_outline(solid)])
    main = _found(pixels, outline, own)
    return main, _belonging(lab, main, _limits_of(pixels, outline, main))


def _sample(pixels: Floats) -> Floats:
    """Enough of the pixels to know them all."""
    return np.ascontiguousarray(pixels[:: max(1, len(pixels) // 12000)], dtype=np.float32)


def _outline(solid: Bools) -> Bools:
    """What of `solid` lies along its edges, and along the frame's."""
    deep = core(np.pad(solid, 1), max(2, round(_OUTLINE * max(solid.shape))))[1:-1, 1:-1]
    return solid & (deep == 0)


def _found(sample: Floats, outline: Floats, own: str) -> Floats:
    """The OKLab centre of the group with the largest share of the product's colours (n, 3) and of its outline's (m, 3)
    together: clusters of one hue count as one, however they are lit, and those near `own` for more."""
    if len(sample) < _CLUSTERS * 4:
        return np.asarray(np.median(sample, axis=0), dtype=np.float32)
    cv2.setRNGSeed(0)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.001)
    found = cv2.kmeans(sample * _SCALE, _CLUSTERS, np.zeros(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS)
    labels, means = found[1].ravel(), found[2]
    nearest_mean = ((outline[:, None] * _SCALE - means) ** 2).sum(axis=2).argmin(axis=1)
    shares = sum(np.bincount(each, minlength=_CLUSTERS) / len(each) for each in (labels, nearest_mean))
    centres = np.stack([np.median(sample[labels == index], axis=0) for index in range(_CLUSTERS)])
    coloured = ~np.array([is_grey(centre) for centre in centres])
    groups = [_COLOURED_LIMITS if is_coloured else _GREY_GROUP for is_coloured in coloured]
    alike = np.stack([_alike(centres, centre, limits) for centre, limits in zip(centres, groups, strict=True)])
    alike[~coloured] *= ~coloured  # a dark colour has little chroma, and is not grey
    weight = (alike * shares).sum(axis=1) * (1.0 + _COLOURED * coloured)
    if own:
        off = np.linalg.norm((centres - to_oklab(np.array(rgb_of(own), np.uint8))) * _SCALE, axis=1)
        weight *= 1.0 + _NAMED * np.exp(-((off / _NEAR) ** 2))
    best = int(weight.argmax())
    group = (alike[best] > 0.5) & (alike[:, best] > 0.5)
    return np.asarray(np.median(sample[group[labels]], axis=0), dtype=np.float32)


def is_grey(main: Floats) -> bool:
    """Whether an eye calls a surface of that colour grey, black or white."""
    return bool(np.hypot(main[1], main[2]) < _GREY)


def _alike(lab: Floats, main: Floats, limits: _Limits) -> Floats:
    """How much each colour belongs to `main`, 0 to 1: by hue for a coloured one, by lightness for a grey one."""
    differences = _differences(lab, main)
    first, second, third = (fade(each, *limit) for each, limit in zip(differences, limits, strict=True))
    if not is_grey(main):
        shining = fade(differences[2], *_COLOURED_LIMITS[2]) * (1.0 - fade(lab[..., 0] - main[0], 0.0, 0.06))
        third = np.maximum(third, shining)
    return first * second * third


def _differences(lab: Floats, main: Floats) -> tuple[Floats, Floats, Floats]:
    """How each colour differs from `main`.

    From a coloured one: its hue turned to the left and to the right, as tangents, and the chroma that it lacks in the
    same light, as a share. From a grey one: darker, lighter, and of another tint in the same light.
    """
    shade = shade_of(lab, main)
    if is_grey(main):
        tint = np.hypot(lab[..., 1] * shade - main[1], lab[..., 2] * shade - main[2])
        return main[0] - lab[..., 0], lab[..., 0] - main[0], tint
    # The angle means nothing near grey, so it counts by the chroma across the main hue's direction.
    main_chroma = float(np.hypot(main[1], main[2]))
    direction = main[1:] / main_chroma
    along = lab[..., 1] * direction[0] + lab[..., 2] * direction[1]
    across = lab[..., 2] * direction[0] - lab[..., 1] * direction[1]
    turned = across / np.maximum(along, 1e-3)
    return -turned, turned, 1.0 - along * shade / main_chroma


def _limits_of(pixels: Floats, outline: Floats, main: Floats) -> _Limits:
    """The limits for a product with these colours: drawn closer where another material's colours lie apart within them,
    as a wooden foot's below an orange lamp shade, or a grey chair's black legs."""
    grey = is_grey(main)
    if grey:
        pixels = np.concatenate([pixels, outline])  # a lens is most of its glasses, and little of their outline
        usual, apart, within = _GREY_LIMITS, (_SHADED * float(main[0]), _LIGHTER_APART, _TINT_APART), _GREY_WITHIN
    else:
        usual, apart, within = _COLOURED_LIMITS, (0.0, 0.0, _PALER_APART), _COLOURED_WITHIN
    alike = pixels[_alike(pixels, main, usual) > within]
    if not len(alike):
        return usual
    differences = _differences(alike, main)
    first, second, third = (_parted(*each) for each in zip(differences, usual, apart, strict=True))
    if not grey:
        paler = alike[differences[2] > third[0], 0]
        if np.count_nonzero(paler > main[0]) > len(paler) / 2:  # the lamp's reflection, not another material
            third = usual[2]
    return first, second, third


def _parted(values: Floats, limit: tuple[float, float], apart: float) -> tuple[float, float]:
    """`limit`, or one in the gap before a second heap of values, which is no nearer than `apart`."""
    counts = np.histogram(values, _BINS, (0.0, limit[1]))[0]
    counts = np.convolve(np.pad(counts, 1, "edge"), (0.25, 0.5, 0.25), "valid")
    fewest = np.minimum.accumulate(counts)
    heap = int(np.where(fewest < _PARTED * counts, counts - fewest, 0.0).argmax())
    gap = np.flatnonzero(counts[: heap + 1] == fewest[heap])
    edge = (float(gap.mean()) + 0.5) * limit[1] / _BINS
    if heap == 0 or (heap + 0.5) * limit[1] / _BINS < apart or not _PART[0] < float((values > edge).mean()) < _PART[1]:
        return limit
    return 0.8 * edge, 1.2 * edge


def shade_of(lab: Floats, main: Floats) -> Floats:
    """What shade has divided chroma by: in OKLab it scales all three numbers alike."""
    return np.clip(main[0] / np.maximum(lab[..., 0], 1e-3), 1.0, _DEEPEST)


def fade(values: Floats, low: float, high: float) -> Floats:
    """1 up to `low`, 0 from `high` on, smooth between."""
    step = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(1.0 - step * step * (3.0 - 2.0 * step), dtype=np.float32)


def _belonging(lab: Floats, main: Floats, limits: _Limits) -> Floats:
    """`_alike`, without single pixels that JPEG noise has put on the wrong side, and without what lies by itself and
    hardly belongs, as ink of a like hue."""
    alike = cv2.medianBlur(np.rint(_alike(lab, main, limits) * 255).astype(np.uint8), 3)
    number, parts = cv2.connectedComponents((alike > _FAINT).astype(np.uint8))
    pixels, sure = (np.bincount(where.ravel(), minlength=number) for where in (parts, parts[alike > _SURE]))
    alike[(sure < _HARDLY * pixels)[parts]] = 0
    return cv2.GaussianBlur(alike.astype(np.float32) / 255.0, (0, 0), 0.6)
