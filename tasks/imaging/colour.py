"""Colour spaces: "#rrggbb", sRGB, linear light and OKLab (Ottosson 2020, https://bottosson.github.io/posts/oklab)."""

import numpy as np

from tasks.imaging.pixels import Floats, Rgb

_TO_CONE = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LAB = np.linalg.inv(_TO_LAB)
_FROM_CONE = np.linalg.inv(_TO_CONE)
_LEVELS = np.arange(256) / 255.0
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = 65535  # of linear light: the darkest levels of sRGB are 20 apart
_LIGHT = np.arange(_STEPS + 1) / _STEPS
_SRGB = np.where(_LIGHT <= 0.0031308, _LIGHT * 12.92, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
_ENCODED = np.rint(_SRGB * 255.0).astype(np.uint8)


def rgb_of(hexadecimal: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of "#rrggbb". Raises ValueError for anything else."""
    if len(hexadecimal) != 7 or hexadecimal[0] != "#":
        raise ValueError(f'a colour is written "#rrggbb", not {hexadecimal!r}')
    value = int(hexadecimal[1:], 16)
    return value >> 16, value >> 8 & 255, value & 255


def to_linear(rgb: Rgb) -> Floats:
    """sRGB bytes to linear light in [0, 1]."""
    return _LINEAR[rgb]


def from_linear(linear: Floats) -> Rgb:
    """Linear light to sRGB bytes, clipped and rounded."""
    return _ENCODED[np.rint(np.clip(linear, 0.0, 1.0) * _STEPS).astype(np.uint16)]


def to_oklab(rgb: Rgb) -> Floats:
    """sRGB bytes (…, 3) to OKLab: lightness in [0, 1], a and b about in [-0.4, 0.4]."""
    cone = np.cbrt(to_linear(rgb) @ _TO_CONE.T.astype(np.float32))
    return np.asarray(cone @ _TO_LAB.T.astype(np.float32), dtype=np.float32)


def from_oklab(lab: Floats) -> Rgb:
    """OKLab (…, 3) to sRGB bytes; a colour outside sRGB loses chroma until it fits, and keeps lightness and hue."""
    linear = _linear_of(lab)
    outside = (linear < -1e-4).any(axis=-1) | (linear > 1.0001).any(axis=-1)
    if outside.any():
        linear[outside] = _linear_of(_into_gamut(lab[outside]))
    return from_linear(linear)


def _linear_of(lab: Floats) -> Floats:
    cone = (lab @ _FROM_LAB.T.astype(np.float32)) ** 3
    return np.asarray(cone @ _FROM_CONE.T.astype(np.float32), dtype=np.float32)


def _into_gamut(lab: Floats) -> Floats:
    """Bisect for the largest share of each colour's chroma that sRGB can show."""
    low, high = np.zeros(len(lab), np.float32), np.ones(len(lab), np.float32)
    fitted = lab.copy()
    fitted[:, 0] = np.clip(fitted[:, 0], 0.0, 1.0)
    for _ in range(8):
        middle = (low + high) / 2
        fitted[:, 1:] = lab[:, 1:] * middle[:, None]
        linear = _linear_of(fitted)
        fits = (linear >= -1e-4).all(axis=-1) & (linear <= 1.0001).all(axis=-1)
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    fitted[:, 1:] = lab[:, 1:] * low[:, None]
    return fitted
