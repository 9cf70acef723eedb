"""Show the product in another colour: move its main colour in OKLab, keep texture, shading, labels and metal."""

import cv2
import numpy as np

from tasks.imaging.colour import from_oklab, rgb_of, to_oklab
from tasks.imaging.pixels import Floats, Mask, Rgb

_CLUSTERS = 6
_GREY = 0.045  # OKLab chroma below which an eye calls a surface grey, black or white
_DEEPEST = 4.0  # a darker shade is not told from black
_WHITE, _BLACK = 0.955, 0.235  # lightness of a white or black object in a photo; the extremes would look cut from paper


def recolour(rgb: Rgb, mask: Mask, hexadecimal: str) -> Rgb:
    """`rgb` with the product's main colour moved to `hexadecimal`; all outside `mask` keeps its bytes.

    The main colour is the largest group of alike colours inside the mask. Pixels belong to it by degrees; a lighter
    or darker one stays lighter or darker, a highlight stays a highlight.
    """
    inside = mask > 0.0
    if not inside.any():
        return rgb
    lab = to_oklab(rgb)
    main = _main_colour(lab[mask > 0.7] if (mask > 0.7).any() else lab[inside])
    belongs = _belonging(lab, main) * mask
    target = to_oklab(np.array(rgb_of(hexadecimal), np.uint8))
    moved = from_oklab(_moved(lab, main, target)).astype(np.float32)
    blended = rgb + (moved - rgb) * belongs[..., None]
    return np.where(inside[..., None], np.rint(blended).astype(np.uint8), rgb)


def _main_colour(pixels: Floats) -> Floats:
    """The OKLab centre of the largest group: clusters of one hue count together, however they are lit."""
    sample = np.ascontiguousarray(pixels[:: max(1, len(pixels) // 12000)], dtype=np.float32)
    if len(sample) < _CLUSTERS * 4:
        return np.asarray(np.median(sample, axis=0), dtype=np.float32)
    cv2.setRNGSeed(0)
    weighted = sample * np.array([0.5, 1.0, 1.0], np.float32)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 30, 0.001)
    _, labels, _ = cv2.kmeans(weighted, _CLUSTERS, np.zeros(0, np.int32), stop, 2, cv2.KMEANS_PP_CENTERS)
    labels = labels.ravel()
    centres = np.stack([np.median(sample[labels == index], axis=0) for index in range(_CLUSTERS)])
    sizes = np.bincount(labels, minlength=_CLUSTERS)
    alike = np.stack([_alike(centres, centre) for centre in centres])
    # A coloured product's labels and soles are often grey: at equal area the colour is the product's.
    weight = (alike * sizes).sum(axis=1) * (1.0 + 0.5 * (np.hypot(centres[:, 1], centres[:, 2]) > _GREY))
    group = alike[int(weight.argmax())] > 0.5
    return np.asarray(np.median(sample[group[labels]], axis=0), dtype=np.float32)


def _alike(lab: Floats, main: Floats) -> Floats:
    """How much each colour belongs to `main`, 0 to 1: by hue for a coloured one, by lightness for a grey one."""
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    main_chroma = float(np.hypot(main[1], main[2]))
    if main_chroma < _GREY:
        grey = _fade(chroma, _GREY, _GREY + 0.04)
        return grey * _fade(np.abs(lab[..., 0] - main[0]), 0.22, 0.36)
    # The angle means nothing near grey, so it counts by the chroma across the main hue's direction.
    direction = main[1:] / main_chroma
    along = lab[..., 1] * direction[0] + lab[..., 2] * direction[1]
    across = np.abs(lab[..., 1] * direction[1] - lab[..., 2] * direction[0])
    same_hue = _fade(across / np.maximum(along, 1e-3), 0.35, 0.7)
    coloured = 1.0 - _fade(along * _shade(lab, main), 0.12 * main_chroma, 0.4 * main_chroma)
    return same_hue * coloured


def _shade(lab: Floats, main: Floats) -> Floats:
    """What shade has divided chroma by: in OKLab it scales all three numbers alike."""
    return np.clip(main[0] / np.maximum(lab[..., 0], 1e-3), 1.0, _DEEPEST)


def _fade(values: Floats, low: float, high: float) -> Floats:
    """1 up to `low`, 0 from `high` on, smooth between."""
    step = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(1.0 - step * step * (3.0 - 2.0 * step), dtype=np.float32)


def _belonging(lab: Floats, main: Floats) -> Floats:
    """`_alike`, without single pixels that JPEG noise has put on the wrong side."""
    alike = cv2.medianBlur(np.rint(_alike(lab, main) * 255).astype(np.uint8), 3)
    return cv2.GaussianBlur(alike.astype(np.float32) / 255.0, (0, 0), 0.6)


def _moved(lab: Floats, main: Floats, target: Floats) -> Floats:
    """Every pixel as it would be if the product had the target's colour, whether it belongs to it or not."""
    goal = float(np.clip(target[0], _BLACK, _WHITE))
    strength: Floats
    relative = lab[..., 0] - main[0]
    # Shadows scale with a product's lightness; much deeper on a far lighter one, they would show the photo's noise.
    down = min(1.3, goal / max(float(main[0]), 1e-3))
    # Highlights find less room on a lighter product.
    up = min(1.0, (1.0 - goal) / max(1.0 - float(main[0]), 1e-3))
    lightness = np.clip(goal + np.where(relative < 0, relative * down, relative * up), 0.0, 1.0)
    main_chroma = float(np.hypot(main[1], main[2]))
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    # Light reflected off the surface has the lamp's colour, not the product's: highlights stay pale.
    if main_chroma >= _GREY:
        strength = np.clip(chroma * _shade(lab, main) / main_chroma, 0.0, 1.25)
    else:
        strength = _fade(lab[..., 0], min(0.97, float(main[0]) + 0.2), 1.1)
    strength = strength * np.clip(lightness / goal, 0.0, 1.0)
    return np.stack([lightness, target[1] * strength, target[2] * strength], axis=-1).astype(np.float32)
