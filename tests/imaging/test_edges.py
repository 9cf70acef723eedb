"""A product's edges: its outline and what it shows, and nothing of what is around it."""

import numpy as np

from tasks.imaging.edges import product_edges

ROWS, COLUMNS = np.mgrid[:120, :100]
DISC = ((ROWS - 60) ** 2 + (COLUMNS - 50) ** 2 < 35**2).astype(np.float32)
RADIUS = np.hypot(ROWS - 60, COLUMNS - 50)


def _shown(product: int, background: int) -> np.ndarray:
    return np.where(DISC[..., None] > 0, product, background).repeat(3, 2).astype(np.uint8)


def test_lines_are_white_on_black_and_an_outline_is_one_line() -> None:
    lines = product_edges(_shown(90, 255), DISC)
    assert lines.shape == (120, 100, 3)
    assert set(np.unique(lines)) == {0, 255}
    where = RADIUS[lines[..., 0] > 0]
    assert where.min() > 33
    assert where.max() < 35
    assert 150 < len(where) < 350  # one pixel wide: twice 3.14 times 35 long


def test_white_on_white_has_an_outline_too() -> None:
    assert np.array_equal(product_edges(_shown(255, 255), DISC), product_edges(_shown(90, 255), DISC))


def test_the_outline_is_where_a_soft_mask_is_half() -> None:
    soft = np.where(DISC > 0, 0.8, np.where(RADIUS < 42, 0.3, 0.0)).astype(np.float32)
    assert np.array_equal(product_edges(_shown(90, 255), soft), product_edges(_shown(90, 255), DISC))


def test_what_the_product_shows_has_edges_and_what_is_around_it_none() -> None:
    rgb = _shown(90, 255)
    rgb[50:70, 40:60] = 250  # a label
    rgb[100:, ::7] = 0  # a shadow, a floor
    lines = product_edges(rgb, DISC)[..., 0] > 0
    assert lines[48:53, 42:58].any(0).all(), "the label's upper edge"
    assert not lines[RADIUS > 35].any()
