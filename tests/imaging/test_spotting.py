import numpy as np

from tasks.imaging.spotting import spot
from tests.imaging.pictures import mug


def test_what_stands_out_is_found_with_its_hull():
    rgb, mask = mug(256)
    found = spot(rgb)
    assert found is not None
    assert found[mask >= 0.5].mean() > 0.98
    assert found.mean() < 1.5 * mask.mean()


def test_a_picture_in_which_nothing_stands_out_holds_no_product():
    assert spot(np.full((128, 128, 3), 200, np.uint8)) is None
