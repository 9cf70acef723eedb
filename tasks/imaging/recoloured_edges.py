"""Edges of a recoloured product, whose pixels show more than its own colour and would keep the old one as a line."""

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.imaging.main_colour import fade, is_grey
from tasks.imaging.pixels import Bools, Floats, Mask, Places, Rgb, core, distance, nearest
from tasks.imaging.rim import mixture

_EDGE_WIDTH, _EDGE_SHARE = 2, 0.003  # how far two colours are blurred into each other: pixels, and of the longer side
_NOISE = 24.0  # of the sum of three levels: what is darker says little of the light on it
_MIRRORING = 0.02  # of the longer side: how wide a grey line along the outline is taken to be a reflection
_LIGHTER = 0.1, 0.2  # in lightness: how far such a line may be from what lies behind it; a trim is farther
_PALER = 0.8, 1.0  # of the product's chroma: what has as much is no reflection
_ASKEW = -0.7, -0.3  # the cosine between the ways to what lies behind and out: of a line that ends here it is 0


def mend_inner_edges(blended: Floats, part: Rgb, moved: Rgb, belongs: Floats, cover: Mask) -> None:
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


def mend_outline(blended: Floats, lab: Floats, main: Floats, belongs: Floats, cover: Mask) -> None:
    """Give a grey line along a coloured product's outline the colour of what lies behind it.

    Seen at a grazing angle a glossy surface mirrors what is around (Fresnel), and loses its own colour towards its
    outline, but not its lightness at once, as a trim would. In place.
    """
    width = max(_EDGE_WIDTH, round(_MIRRORING * max(cover.shape)))
    behind = core((belongs > 0.97) & (cover > 0.97), 1) > 0
    if is_grey(main) or not behind.any():
        return
    where, out, back = _between(behind, cover, width)
    inner = where[0] + back[0], where[1] + back[1]
    cosine = (out * back).sum(axis=0) / np.linalg.norm([out, back], axis=1).prod(axis=0)
    paler = np.hypot(lab[where][:, 1], lab[where][:, 2]) / np.hypot(main[1], main[2])
    lighter = np.abs(lab[where][:, 0] - lab[inner][:, 0])
    line, trust = np.zeros((2, *cover.shape), np.float32)
    line[where], trust[where] = 1.0, fade(lighter, *_LIGHTER) * fade(paler, *_PALER) * fade(cosine, *_ASKEW)
    smooth = cv2.blur(trust, (3, 3))[where] / cv2.blur(line, (3, 3))[where]
    blended[where] += (cv2.blur(blended, (3, 3))[inner] - blended[where]) * smooth[:, None]


def _between(behind: Bools, cover: Mask, width: int) -> tuple[Places, NDArray[np.int64], NDArray[np.int64]]:
    """The places between the product's outline and `behind` where the two are no more than `width` pixels apart, and
    the ways (2, n) from each to the nearest place out of the product, and back to the nearest one in `behind`."""
    covered = np.pad((cover > 0.05).astype(np.uint8), width)
    solid = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((width // 2 | 1,) * 2)) > 0  # small holes are no outline
    inwards, outwards = (distance(one, cv2.DIST_MASK_5) for one in (~behind, solid))
    outwards = outwards[width:-width, width:-width]
    where = np.nonzero((outwards > 0) & (outwards + inwards <= width) & ~behind & (cover > 0))
    out = _nearest_place(~solid)[width:-width, width:-width][where].T - width - where
    return where, out, _nearest_place(behind)[where].T - where


def _nearest_place(where: Bools) -> NDArray[np.int64]:
    """For each pixel the row and the column (height, width, 2) of the nearest one in `where`."""
    return nearest(np.moveaxis(np.indices(where.shape), 0, -1), where)
