import numpy as np
import pytest

from tasks.imaging.cut_out import cut_out, decontaminate
from tests.imaging.pictures import mug, overlap


@pytest.mark.parametrize("backdrop", [(255, 255, 255), (205, 208, 212), (40, 44, 50), (120, 150, 180)])
@pytest.mark.parametrize("side", [256, 700])
def test_a_product_on_a_backdrop_is_found(backdrop, side):
    rgb, mask = mug(side, backdrop=backdrop)
    found = cut_out(rgb)
    assert found.shape == mask.shape
    assert found.dtype == np.float32
    assert 0.0 <= found.min() <= found.max() <= 1.0
    assert overlap(found, mask) > 0.93


def test_the_hole_of_a_handle_stays_open_and_a_label_like_the_backdrop_stays_closed():
    rgb, _ = mug(512, backdrop=(236, 236, 236))
    found = cut_out(rgb)
    assert found[int(0.51 * 512), int(0.70 * 512)] < 0.1
    assert found[int(0.44 * 512), int(0.42 * 512)] > 0.9


def test_the_edge_is_soft_and_the_inside_solid():
    rgb, _ = mug(512)
    found = cut_out(rgb)
    soft = (found > 0.05) & (found < 0.95)
    assert 0 < soft.mean() < 0.03


def test_where_nothing_stands_out_all_of_it_is_the_product():
    assert (cut_out(np.full((120, 90, 3), 200, np.uint8)) == 1.0).all()


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 400), (500, 12)])
def test_odd_shapes_give_a_mask(shape):
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = cut_out(rgb)
    assert found.shape == shape
    assert np.isfinite(found).all()


def test_the_same_photo_gives_the_same_mask():
    rgb, _ = mug(300)
    assert (cut_out(rgb) == cut_out(rgb)).all()


def test_decontaminating_takes_the_old_backdrop_out_of_the_edge_and_leaves_the_inside():
    rgb, mask = mug(256, colour=(170, 40, 50), backdrop=(0, 255, 0), noise=0)
    clean = decontaminate(rgb, mask)
    solid = mask >= 0.97
    assert (clean[solid] == rgb[solid]).all()
    edge = (mask > 0.2) & (mask < 0.8)
    assert rgb[edge][:, 1].mean() > 110
    assert clean[edge][:, 1].mean() < 60
