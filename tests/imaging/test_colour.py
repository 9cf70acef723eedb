import numpy as np

from tasks.imaging.colour import from_linear, to_linear


def test_every_level_comes_back_from_linear_light() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (from_linear(to_linear(levels)) == levels).all()


def test_linear_light_is_encoded_as_the_standard_says() -> None:
    """IEC 61966-2-1, to the nearest level."""
    light = np.linspace(-0.1, 1.1, 10_007).astype(np.float32)
    clipped = np.clip(light.astype(float), 0, 1)
    exact = 255 * np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    assert np.abs(from_linear(light) - exact).max() < 0.53
