"""Show the product in another colour: move its main colour in OKLab, keep texture, shading, labels and metal."""

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.colour import from_oklab, rgb_of, to_oklab
from tasks.imaging.main_colour import fade, is_grey, main_colour, shade_of
from tasks.imaging.pixels import Bools, Floats, Mask, Rgb, box_of, core, nearest
from tasks.imaging.rim import mixture

_EDGE_WIDTH, _EDGE_SHARE = 2, 0.003  # how far two colours are blurred into each other: pixels, and of the longer side
_MIRRORING = 0.02  # of the longer side: how wide a grey line along the outline is taken to be a reflection
_NOISE = 24.0  # of the sum of three levels: what is darker says little of the light on it
_DEEPER = 1.5  # times a shade is made deeper at most, on a far lighter product: more would show the photo's noise
_MIRRORED = 0.3  # how much lighter than the main colour all is a reflection
_WHITE, _BLACK = 0.955, 0.235  # lightness of a white or black object in a photo; the extremes would look cut from paper


def recolour(rgb: Rgb, mask: Mask, hexadecimal: str, own: str = "") -> Rgb:
    """`rgb` with the product's main colour moved to `hexadecimal`; all outside `mask` keeps its bytes.

    `own` is what `main_colour` goes by besides. Pixels belong to the main colour by degrees; a lighter or darker one
    stays lighter or darker, a highlight stays a highlight.
    """
    inside = mask > 0.0
    if not inside.any():
        return rgb
    box = box_of(inside.astype(np.float32))
    part, cover = rgb[box], mask[box]
    lab = to_oklab(part)
    solid = cover > 0.7 if (cover > 0.7).any() else cover > 0.0
    main, belongs = main_colour(lab, solid, own)
    target = to_oklab(np.array(rgb_of(hexadecimal), np.uint8))
    moved = from_oklab(_moved(lab, main, target))
    before = part.astype(np.float32)
    blended = before + (moved.astype(np.float32) - before) * (belongs * cover)[..., None]
    _mend_edges(blended, part, moved, belongs, cover)
    _mend_rim(blended, lab, main, belongs, cover)
    recoloured = rgb.copy()
    recoloured[box] = np.where(inside[box][..., None], np.rint(blended).astype(np.uint8), part)
    return recoloured


def _mend_edges(blended: Floats, part: Rgb, moved: Rgb, belongs: Floats, cover: Mask) -> None:
    """Give what a lens has mixed of the main colour and of another beside it, as a label's, its share of the new one.

    By its hue it would belong to neither, and stay as a line around the label. In place, by the matting equation (see
    `rim.py`) for the product's inner edges; what shades such an edge, as a seam, shades it still.
    """
    width = max(_EDGE_WIDTH, round(_EDGE_SHARE * max(cover.shape)))
    within = core(belongs > 0.9, width)
    beyond = core((belongs < 0.1) & (cover > 0.97), width - 1)
    reach = np.ones((12 * width + 1,) * 2)
    where = np.nonzero((cv2.dilate(within, reach) > within) & (cv2.dilate(beyond, reach) > beyond) & (cover > 0))
    if not len(where[0]):
        return
    both = cv2.blur(nearest(np.dstack([part, moved]), within > 0), (3, 3))[where].astype(np.float32)
    main, new = both[:, :3], both[:, 3:]
    other = cv2.blur(nearest(part, beyond > 0), (3, 3))[where].astype(np.float32)
    share, trust = mixture(part[where].astype(np.float32), other, main, np.zeros(len(main)))
    before, after = (other + share[:, None] * (one - other) for one in (main, new))
    shade = (part[where].sum(axis=1) + _NOISE) / (before.sum(axis=1) + _NOISE)
    mended = np.clip(after * shade[:, None], 0.0, 255.0)
    blended[where] += (mended - blended[where]) * (trust * cover[where])[:, None]


def _mend_rim(blended: Floats, lab: Floats, main: Floats, belongs: Floats, cover: Mask) -> None:
    """Give a grey line along a coloured product's outline the colour of what lies behind it.

    Seen at a grazing angle a glossy surface mirrors what is around (Fresnel), and loses its own colour towards its
    outline, but not its lightness at once, as a trim would: left as it is, it would be a line around a recoloured
    product. In place.
    """
    width = max(_EDGE_WIDTH, round(_MIRRORING * max(cover.shape)))
    behind = core((belongs > 0.97) & (cover > 0.97), 1) > 0
    if is_grey(main) or not behind.any():
        return
    covered = np.pad((cover > 0.05).astype(np.uint8), width)
    solid = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((width // 2 | 1,) * 2)) > 0  # small holes are none
    out = _distance(solid)[width:-width, width:-width]
    where = np.nonzero((out > 0) & (out + _distance(~behind) <= width) & ~behind & (cover > 0))
    beyond = np.stack(np.divmod(_nearest_number(~solid)[width:-width, width:-width][where], solid.shape[1])) - width
    inside = np.stack(np.divmod(_nearest_number(behind)[where], cover.shape[1]))
    ways = beyond - where, inside - where
    opposite = -(ways[0] * ways[1]).sum(axis=0) / np.linalg.norm(ways, axis=1).prod(axis=0)  # else a line ends here
    colours, inner = lab[where], lab[*inside]
    paler = np.hypot(colours[:, 1], colours[:, 2]) / np.hypot(main[1], main[2])
    alike = fade(np.abs(colours[:, 0] - inner[:, 0]), 0.1, 0.2) * fade(paler, 0.8, 1.0)
    line, trust = np.zeros((2, *cover.shape), np.float32)
    line[where], trust[where] = 1.0, alike * fade(-opposite, -0.7, -0.3)
    trust = cv2.blur(trust, (3, 3))[where] / cv2.blur(line, (3, 3))[where]
    blended[where] += (cv2.blur(blended, (3, 3))[*inside] - blended[where]) * trust[:, None]


def _distance(where: Bools) -> Floats:
    return np.asarray(cv2.distanceTransform(where.astype(np.uint8), cv2.DIST_L2, 5))


def _nearest_number(where: Bools) -> NDArray[np.int32]:
    """For each pixel the number, row by row, of the nearest one in `where`."""
    return nearest(np.arange(where.size, dtype=np.int32).reshape(*where.shape, 1), where)[..., 0]


def _moved(lab: Floats, main: Floats, target: Floats) -> Floats:
    """Every pixel as it would be if the product had the target's colour, whether it belongs to it or not."""
    goal = float(np.clip(target[0], _BLACK, _WHITE))
    strength: Floats
    lightness = _lightness(lab[..., 0] - main[0], float(main[0]), goal)
    main_chroma = float(np.hypot(main[1], main[2]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    # Light reflected off the surface has the lamp's colour, not the product's: highlights stay pale.
    if not is_grey(main):
        strength = np.clip(chroma * shade_of(lab, main) / main_chroma, 0.0, 1.25)
    else:
        strength = fade(lab[..., 0], min(0.97, float(main[0]) + 0.2), 1.1)
    strength = strength * np.clip(lightness / goal, 0.0, 1.0)
    return np.stack([lightness, target[1] * strength, target[2] * strength], axis=-1).astype(np.float32)


def _lightness(relative: Floats, main: float, goal: float) -> Floats:
    """The lightness of a product of lightness `goal` where one of `main` is so much lighter or darker.

    Light is multiplied by the colour that it falls on, and so is OKLab's lightness; but what a surface mirrors is added
    to it, and stays on a darker product what it was. A lighter product has less room above it.
    """
    scaled = relative * min(_DEEPER, goal / max(main, 1e-3))
    if goal < main:
        lighter = scaled + (relative - scaled) * (1.0 - fade(relative, 0.0, _MIRRORED))
    else:
        lighter = relative * (1.0 - goal) / max(1.0 - main, 1e-3)
    return np.asarray(np.clip(goal + np.where(relative < 0, scaled, lighter), 0.0, 1.0), dtype=np.float32)
