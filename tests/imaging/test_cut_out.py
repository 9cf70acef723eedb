import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.cut_out import cut_out
from tasks.imaging.pixels import Mask, Rgb, scale_mask
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


def test_noise_leaves_neither_crumbs_beside_the_product_nor_pinholes_in_it():
    rgb, _ = mug(700, noise=10, backdrop=(170, 120, 110))
    found = cut_out(rgb)
    assert ndimage.label(found > 0.03, np.ones((3, 3)))[1] == 1
    assert ndimage.label(found < 0.97)[1] == 2, "the surroundings, and what is seen through the handle"


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


def _busy() -> tuple[Rgb, Mask]:
    """A mug before a wall of many colours: no colour of its own, no backdrop."""
    rgb, mask = mug(360, colour=(120, 120, 120), noise=0)
    wall = np.kron(np.random.default_rng(1).integers(0, 256, (18, 18, 3)), np.ones((20, 20, 1)))
    return np.where(mask[..., None] > 0.5, rgb, wall).astype(np.uint8), mask


def test_what_a_network_finds_among_busy_things_is_taken():
    rgb, mask = _busy()
    assert overlap(np.rint(cut_out(rgb)), mask) < 0.8, "or the network is not needed"
    found = cut_out(rgb, lambda picture: scale_mask(mask, *picture.shape[1::-1]))
    assert overlap(np.rint(found), np.rint(mask)) > 0.97
    assert found.dtype == np.float32


@pytest.mark.parametrize("answer", [0.0, 1.0], ids=["nothing", "everything"])
def test_a_network_that_finds_nothing_leaves_it_to_colours(answer):
    rgb, _ = mug(300)
    assert (cut_out(rgb, lambda picture: np.full(picture.shape[:2], answer, np.float32)) == cut_out(rgb)).all()


def test_a_network_is_overruled_where_colours_and_edges_are_right_and_it_is_not():
    rgb, mask = mug(300, noise=0)
    half = mask.copy()
    half[:, :150] = 0.0
    assert overlap(cut_out(rgb, lambda picture: scale_mask(half, *picture.shape[1::-1])), mask) > 0.93


def test_a_networks_doubts_show_neither_as_haze_nor_as_specks():
    rgb, mask = _busy()
    doubtful = mask.copy()
    doubtful[330:355] = 0.3  # what it stands on, perhaps
    doubtful[4:8, 4:8] = 0.9
    found = cut_out(rgb, lambda picture: scale_mask(doubtful, *picture.shape[1::-1]))
    assert found[330:355].max() == 0.0
    assert found[:12, :12].max() == 0.0
    assert overlap(np.rint(found), np.rint(mask)) > 0.97


def test_a_network_sees_a_large_photo_small_and_its_edge_is_found_at_full_size():
    rgb, mask = mug(1600, noise=0)
    seen = []

    def segment(picture: Rgb) -> Mask:
        seen.append(picture.shape)
        return scale_mask(mask, *picture.shape[1::-1])

    found = cut_out(rgb, segment)
    assert seen == [(1024, 1024, 3)]
    assert found.shape == (1600, 1600)
    assert overlap(np.rint(found), np.rint(mask)) > 0.99
