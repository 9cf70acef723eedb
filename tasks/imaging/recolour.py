"""Show the product in another colour: move its main colour in OKLab, keep texture, shading, labels and metal."""

import numpy as np

from tasks.imaging.colour import from_oklab, rgb_of, to_oklab
from tasks.imaging.main_colour import fade, is_grey, main_colour, shade_of
from tasks.imaging.pixels import Floats, Mask, Rgb, box_of
from tasks.imaging.recoloured_edges import mend_inner_edges, mend_outline

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
    mend_inner_edges(blended, part, moved, belongs, cover)
    mend_outline(blended, lab, main, belongs, cover)
    recoloured = rgb.copy()
    recoloured[box] = np.where(inside[box][..., None], np.rint(blended).astype(np.uint8), part)
    return recoloured


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
