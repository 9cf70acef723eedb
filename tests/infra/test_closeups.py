"""Close-ups: the product fills them, wherever it stood."""

import numpy as np

from infra.demo.closeups import GREY, boxes, closeups


def _photographs() -> tuple[np.ndarray, np.ndarray]:
    """Red products of several sizes at several places before blue."""
    masks = np.zeros((3, 64, 64), np.uint8)
    masks[0, 10:30, 5:15] = 255
    masks[1, 40:62, 40:62] = 255
    masks[2, 20:24, 20:60] = 255
    images = np.zeros((3, 64, 64, 3), np.uint8)
    images[..., 2] = 255
    images[masks > 0] = (255, 0, 0)
    return images, masks


def test_boxes_say_where_a_product_is_and_nothing_of_an_empty_scene() -> None:
    _, masks = _photographs()
    assert boxes(masks).tolist() == [[10, 5, 30, 15], [40, 40, 62, 62], [20, 20, 24, 60]]
    assert boxes(np.zeros((1, 8, 8), np.uint8)).tolist() == [[0, 0, 0, 0]]


def test_the_product_fills_a_close_up_alone_on_grey_or_with_what_surrounds_it() -> None:
    images, masks = _photographs()
    rows = np.repeat(np.arange(3), 40)
    taken = closeups(images[rows], masks[rows], boxes(masks)[rows], np.random.default_rng(0))
    assert taken.shape == (120, 3, 64, 64)
    red = (taken[:, 0] > 0.5) & (taken[:, 2] < -0.5)
    height, width = (np.array([int(shown.any(axis).sum()) for shown in red]) for axis in (1, 0))
    assert (np.maximum(height, width) > 64 / 1.4 - 3).all()
    corner = taken[:, :, 0, 0].numpy()
    alone = np.isclose(corner, GREY, atol=1e-3).all(1)
    assert 50 < alone.sum() < 95
    assert (corner[~alone][:, 2] > -0.1).mean() > 0.9, "blue, or grey beyond the photograph's edge"
