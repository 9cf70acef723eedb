import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tasks.imaging.compose import Placement, on_flat, place
from tasks.imaging.measure import fill_ratio
from tasks.imaging.pixels import box_of
from tasks.imaging.rim import free_rim
from tasks.imaging.shadow import NO_SHADOW, SOFT_SHADOW, Shadow
from tests.imaging.pictures import mug, wooden_table
from tests.measures import pixel_colour_difference, white_share_of_border

PRODUCT, MASK = mug(256)
PLACEMENTS = st.builds(
    Placement,
    share=st.floats(0.05, 1.0),
    x=st.floats(0.0, 1.0),
    surface=st.one_of(st.none(), st.floats(0.3, 1.0)),
    shadow=st.sampled_from([NO_SHADOW, SOFT_SHADOW, Shadow()]),
)


@settings(max_examples=40, deadline=None)
@given(PLACEMENTS, st.integers(40, 300), st.integers(40, 300))
def test_the_product_stands_whole_on_the_surface_within_its_share(placement, height, width):
    background = np.full((height, width, 3), 180, np.uint8)
    rgb, mask = place(PRODUCT, MASK, background, placement)
    assert rgb.shape == background.shape
    assert rgb.dtype == np.uint8
    assert mask.shape == (height, width)
    rows, columns = box_of(mask, 0.4)
    if placement.surface is None:
        assert abs((rows.start + rows.stop) / 2 - height / 2) <= 2.5
    else:
        assert abs(rows.stop - placement.surface * height) <= 2.5
    assert rows.stop - rows.start <= placement.share * height + 3
    assert columns.stop - columns.start <= placement.share * width + 3
    source_rows, source_columns = box_of(MASK)
    aspect = (source_rows.stop - source_rows.start) / (source_columns.stop - source_columns.start)
    assert abs((rows.stop - rows.start) - aspect * (columns.stop - columns.start)) <= 5


@pytest.mark.parametrize("shadow", [NO_SHADOW, SOFT_SHADOW, Shadow()])
def test_the_products_own_pixels_survive(shadow):
    """At its own size, so that scaling is not measured: median ΔE2000 at most 2, and 95 in 100 pixels at most 5."""
    rows, _ = box_of(MASK)
    share = (rows.stop - rows.start) / 256
    rgb, mask = place(PRODUCT, MASK, wooden_table(), Placement(share=share, surface=0.85, shadow=shadow))
    moved = round(0.85 * 256) - rows.stop
    columns_shift = _shift_of(mask)
    original = np.roll(np.roll(PRODUCT, moved, axis=0), columns_shift, axis=1)
    inside = ndimage.binary_erosion(mask > 0.99, iterations=2).astype(np.float32)
    assert inside.sum() > 5000
    assert pixel_colour_difference(original, rgb, inside) <= 2.0
    assert pixel_colour_difference(original, rgb, inside, 0.95) <= 5.0


def test_a_dark_product_has_no_pale_rim_on_white():
    rgb, mask = on_flat(np.full((200, 200, 3), 26, np.uint8), MASK[:200, :200], "#ffffff", (200, 200))
    assert (rgb[mask == 1.0] == 26).all()


def _shift_of(mask):
    return box_of(mask)[1].start - box_of(MASK)[1].start


@pytest.mark.parametrize("fill", [0.4, 0.85])
def test_a_picture_grows_until_the_product_keeps_the_pixels_of_its_photo(fill):
    rgb, mask = on_flat(PRODUCT, MASK, "#ffffff", (64, 80), fill, side_maximum=4000)
    (rows, columns), (of_photo, beside) = box_of(mask), box_of(MASK)
    assert abs((rows.stop - rows.start) - (of_photo.stop - of_photo.start)) <= 1
    assert abs(rgb.shape[1] / rgb.shape[0] - 80 / 64) < 0.01
    shifts = rows.start - of_photo.start, columns.start - beside.start
    photo = np.zeros_like(rgb)
    photo[rows, columns] = PRODUCT[rows.start - shifts[0] : rows.stop - shifts[0]][
        :, columns.start - shifts[1] : columns.stop - shifts[1]
    ]
    inside = ndimage.binary_erosion(mask > 0.99, iterations=4).astype(np.float32)
    assert inside.sum() > 5000
    assert pixel_colour_difference(photo, rgb, inside) <= 2.0


@settings(max_examples=40, deadline=None)
@given(PLACEMENTS, st.integers(40, 300), st.integers(40, 300), st.integers(0, 500))
def test_a_picture_never_shrinks_and_never_grows_beyond_its_bound(placement, height, width, side_maximum):
    background = np.full((height, width, 3), 180, np.uint8)
    rgb, mask = place(PRODUCT, MASK, background, placement, side_maximum)
    assert rgb.shape[:2] == mask.shape
    assert max(rgb.shape) <= max(height, width, side_maximum)
    assert rgb.shape[0] >= height
    assert rgb.shape[1] >= width


@pytest.mark.parametrize("side", [64, 512, 2000])
def test_a_scene_is_scaled_to_what_the_photo_gives_however_large_it_came(side):
    scene, placement = np.full((side, side, 3), 180, np.uint8), Placement(share=0.5)
    _, mask = place(PRODUCT, MASK, scene, placement, 4000, (64, 64))
    (rows, columns), (of_photo, beside) = box_of(mask), box_of(MASK)
    assert abs((rows.stop - rows.start) - (of_photo.stop - of_photo.start)) <= 1
    assert abs((columns.stop - columns.start) - (beside.stop - beside.start)) <= 1
    assert place(PRODUCT, MASK, scene, placement, 4000, (900, 900))[0].shape == (900, 900, 3)


def test_a_wide_shadow_is_as_soft_in_a_large_picture_as_in_a_small_one():
    small, mask = on_flat(PRODUCT, MASK, "#ffffff", (256, 256), 0.7, Shadow())
    large, _ = on_flat(PRODUCT, MASK, "#ffffff", (2048, 2048), 0.7, Shadow())
    shrunk = large.reshape(256, 8, 256, 8, 3).mean((1, 3))
    around = ndimage.binary_erosion(mask == 0, iterations=2)
    assert (small[around] < 240).any()
    assert np.abs(shrunk - small)[around].mean() < 0.5


def test_the_background_away_from_product_and_shadow_keeps_its_bytes():
    background = wooden_table()
    rgb, mask = place(PRODUCT, MASK, background, Placement(share=0.4, shadow=Shadow()))
    assert (rgb[:60] == background[:60]).all()
    rgb, mask = place(PRODUCT, MASK, background, Placement(share=0.4, shadow=NO_SHADOW))
    assert (rgb[mask == 0] == background[mask == 0]).all()


def test_a_shadow_darkens_the_ground_at_the_foot_and_only_darkens():
    background = wooden_table()
    with_shadow, mask = place(PRODUCT, MASK, background, Placement())
    without, _ = place(PRODUCT, MASK, background, Placement(shadow=NO_SHADOW))
    outside = mask == 0
    difference = without[outside].astype(int) - with_shadow[outside]
    assert difference.min() >= -1
    rows, columns = box_of(mask)
    foot = with_shadow[rows.stop + 1 : rows.stop + 3, columns.start + 20 : columns.start + 60]
    assert (
        foot.mean() < background[rows.stop + 1 : rows.stop + 3, columns.start + 20 : columns.start + 60].mean() * 0.93
    )


@pytest.mark.parametrize(("below", "at_most"), [(1, 0.62), (3, 0.7), (6, 0.8), (30, 1.0)])
def test_the_ground_is_the_darker_the_nearer_it_is_to_the_foot(below, at_most):
    ground = np.full((256, 256, 3), 180, np.uint8)
    rgb, mask = place(PRODUCT, MASK, ground, Placement())
    rows, columns = box_of(mask)
    middle = (columns.start + columns.stop) // 2
    under = rgb[rows.stop + below, middle - 30 : middle]
    assert under.mean() <= at_most * 180
    assert (under == 180).all() == (below == 30)


def test_no_fringe_of_the_old_backdrop_is_left():
    product, mask = mug(256, colour=(60, 60, 70), backdrop=(0, 255, 0), noise=0)
    freed = free_rim(product, mask)
    rgb, placed = place(*freed, np.full((256, 256, 3), 128, np.uint8), Placement(shadow=NO_SHADOW))
    edge = (placed > 0.05) & (placed < 0.95)
    green = rgb[edge].astype(int)
    assert (green[:, 1] - green[:, [0, 2]].mean(axis=1)).max() < 12


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 0.98), st.integers(64, 400), st.integers(64, 400))
def test_a_packshot_is_exactly_its_colour_around_a_product_of_the_asked_size(fill, height, width):
    rgb, mask = on_flat(PRODUCT, MASK, "#ffffff", (height, width), fill)
    assert rgb.shape == (height, width, 3)
    assert (rgb[mask == 0] == 255).all()
    assert abs(fill_ratio(mask) - fill) <= 3 / min(height, width) + 0.01
    rows, columns = box_of(mask)
    assert abs((rows.start + rows.stop) / 2 - height / 2) <= 2.5
    assert abs((columns.start + columns.stop) / 2 - width / 2) <= 2.5


def test_a_soft_shadow_on_white_leaves_the_border_white():
    rgb, mask = on_flat(PRODUCT, MASK, "#ffffff", (400, 400), 0.7, SOFT_SHADOW)
    assert white_share_of_border(rgb) == 1.0
    assert (rgb[mask == 0] < 250).any()


def test_on_black_no_shadow_shows():
    rgb, mask = on_flat(PRODUCT, MASK, "#000000", (256, 256), 0.6, Shadow())
    assert not rgb[mask == 0].any()


@pytest.mark.parametrize("cover", [0.0, 0.4])
def test_an_empty_mask_is_refused_and_so_is_one_that_nothing_solid_is_in(cover):
    with pytest.raises(ValueError, match="empty"):
        place(PRODUCT, cover * MASK, wooden_table(), Placement())
