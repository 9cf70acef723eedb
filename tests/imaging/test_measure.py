import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from skimage import color

from tasks.imaging.measure import (
    Palette,
    changed_cells,
    cut_out_confidence,
    fill_ratio,
    hash_distance,
    palette,
    palette_difference,
    perceptual_hash,
    sharpness,
    uniformity,
)
from tasks.imaging.pixels import scale_mask, scale_rgb
from tasks.imaging.recolour import recolour
from tasks.imaging.thumbnail import data_uri, thumbnail
from tests.imaging.pictures import gradient, mug, wooden_table
from tests.measures import colour_difference, mask_overlap, pixel_colour_difference, white_share_of_border

RGB, MASK = mug(256)


def blurred(rgb: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(rgb, (sigma, sigma, 0))


def test_a_blank_picture_is_uniform_and_a_product_is_not():
    assert uniformity(np.full((40, 40, 3), 128, np.uint8)) == 0.0
    assert uniformity(RGB) > 20


def test_blur_lowers_sharpness_and_contrast_does_not():
    table = wooden_table()
    values = [sharpness(blurred(table, sigma)) for sigma in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * values[-1]
    weaker = np.rint(128 + (table.astype(float) - 128) / 2).astype(np.uint8)
    assert sharpness(weaker) == pytest.approx(sharpness(table), rel=0.15)


def test_of_a_product_that_is_nowhere_the_whole_picture_is_measured():
    assert sharpness(RGB, np.zeros_like(MASK)) == sharpness(RGB) > 0
    assert palette_difference(palette(RGB, np.zeros_like(MASK)), palette(RGB, np.ones_like(MASK))) == 0.0


def test_a_product_is_as_sharp_as_itself_and_not_as_what_is_around_it():
    rgb, left = wooden_table(), np.zeros((256, 256), np.float32)
    left[:, :128] = 1.0
    rgb[:, 128:] = blurred(rgb, 4)[:, 128:]
    assert sharpness(rgb, left) > 20 * sharpness(rgb, 1 - left)


def test_a_blur_is_one_in_a_small_picture_and_a_strip_can_be_measured_too():
    assert sharpness(scale_rgb(blurred(wooden_table(), 4), 64, 64)) < 0.001
    assert sharpness(np.zeros((1, 3000, 3), np.uint8)) == 0.0


def test_a_product_of_a_few_pixels_has_one_colour():
    few = np.zeros_like(MASK)
    few[100, 100:103] = 1.0
    found = palette(RGB, few)
    assert found.shares.tolist() == [1.0]
    assert color.deltaE_ciede2000(found.colours[0], color.rgb2lab(RGB[100, 101])) < 3


def test_of_a_products_colours_the_larger_half_decides_how_far_it_is_off():
    red, three = np.array([[50, 60, 40]]), np.array([[50, 60, 40], [50, -60, 0], [50, 0, -60]])
    for shares, off in (((0.6, 0.3, 0.1), False), ((0.3, 0.4, 0.3), True)):
        difference = palette_difference(Palette(three, np.array(shares)), Palette(red, np.ones(1)))
        assert (difference > 20) == off


def test_the_same_product_in_another_pose_and_size_has_its_colour():
    turned, turned_mask = np.rot90(RGB).copy(), np.rot90(MASK).copy()
    larger, larger_mask = scale_rgb(turned, 400, 400), scale_mask(turned_mask, 400, 400)
    assert colour_difference(RGB, MASK, larger, larger_mask) < 2.0
    assert colour_difference(RGB, MASK, recolour(RGB, MASK, "#2b5fb3"), MASK) > 15.0
    assert colour_difference(RGB, MASK, RGB, MASK) == 0.0


def test_pixel_colour_difference_is_zero_for_equal_and_for_nothing():
    assert pixel_colour_difference(RGB, RGB, MASK) == 0.0
    assert pixel_colour_difference(RGB, 255 - RGB, np.zeros_like(MASK)) == 0.0
    assert pixel_colour_difference(RGB, np.clip(RGB.astype(int) + 30, 0, 255).astype(np.uint8), MASK) > 3


def test_one_grey_level_in_the_border_shows():
    white = np.full((100, 200, 3), 255, np.uint8)
    assert white_share_of_border(white) == 1.0
    white[0, :, 2] = 254
    assert 0.8 < white_share_of_border(white) < 1.0


def test_fill_of_a_box():
    mask = np.zeros((100, 200), np.float32)
    assert fill_ratio(mask) == 0.0
    mask[10:90, 50:150] = 1.0
    assert fill_ratio(mask) == 0.8


def test_overlap_is_one_for_equal_masks_and_none_for_apart_ones():
    assert mask_overlap(MASK, MASK) == 1.0
    assert mask_overlap(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32)) == 1.0
    assert mask_overlap(MASK, 1.0 - (MASK > 0)) == 0.0


def test_a_right_mask_is_trusted_more_than_a_wrong_one():
    right = cut_out_confidence(RGB, MASK)
    assert right > 0.6
    half = MASK.copy()
    half[:, 120:] = 0.0
    shifted = np.roll(MASK, 40, axis=1)
    framed = np.ones_like(MASK)
    framed[100:150, 100:150] = 0.0
    for wrong in (half, shifted, framed, np.zeros_like(MASK), np.ones_like(MASK)):
        assert cut_out_confidence(RGB, wrong) < 0.7 * right
    large = cut_out_confidence(scale_rgb(RGB, 700, 700), scale_mask(MASK, 700, 700))
    assert large == pytest.approx(right, abs=0.1)


@pytest.mark.parametrize(
    "cut", [np.s_[:, 95:], np.s_[:, :145], np.s_[95:], np.s_[:160]], ids=["left", "right", "top", "bottom"]
)
def test_a_product_that_the_frame_cuts_off_is_trusted_less_than_a_whole_one(cut):
    rgb, mask = RGB[cut], np.pad(MASK[cut][2:-2, 2:-2], 2)  # GrabCut takes the outermost pixels for backdrop
    assert cut_out_confidence(rgb, mask) < 0.4 * cut_out_confidence(RGB, MASK)


def boxes(*places: tuple[slice, slice], grain: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Dark boxes that a camera has seen, before a backdrop with as much grain, and their mask."""
    noise = np.random.default_rng(0).normal(0, 1, (256, 256, 3))
    rgb, mask = 235.0 + grain * noise, np.zeros((256, 256), np.float32)
    for place in places:
        rgb[place], mask[place] = 60 + 3 * noise[place], 1.0
    return np.clip(rgb, 0, 255).astype(np.uint8), mask


def test_a_product_in_one_piece_and_of_a_size_is_trusted_most():
    whole = cut_out_confidence(*boxes(np.s_[78:178, 78:178]))
    assert whole > 0.9
    assert cut_out_confidence(*boxes(np.s_[78:178, 78:178], grain=0)) > 0.9, "the backdrop may be as flat as it likes"
    assert cut_out_confidence(*boxes(np.s_[20:90, 20:90], np.s_[160:230, 160:230])) < 0.6 * whole
    assert cut_out_confidence(*boxes(np.s_[118:138, 118:138])) < 0.1 * whole


def test_a_drawn_logo_is_trusted_less_than_a_photo():
    photo = np.clip(RGB + np.random.default_rng(0).normal(0, 3, RGB.shape), 0, 255).astype(np.uint8)
    logo = np.full((256, 256, 3), 255, np.uint8)
    mask = np.zeros((256, 256), np.float32)
    logo[60:200, 50:210], mask[60:200, 50:210] = (20, 60, 160), 1.0
    assert cut_out_confidence(photo, MASK) > 0.9 * cut_out_confidence(RGB, MASK) > 0.5
    assert cut_out_confidence(logo, mask) < 0.2


def test_the_hash_survives_size_and_compression_and_tells_pictures_apart():
    small = scale_rgb(RGB, 131, 131)
    packed = np.asarray(Image.open(io.BytesIO(thumbnail(RGB, 256, quality=40))))
    for other in (small, packed):
        assert hash_distance(perceptual_hash(RGB), perceptual_hash(other)) <= 6
    assert hash_distance(perceptual_hash(RGB), perceptual_hash(np.fliplr(RGB).copy())) > 10
    assert 0 <= perceptual_hash(RGB) < 2**64


def test_cells_change_with_the_colour_and_not_with_noise_or_size():
    noisy = np.clip(RGB + np.random.default_rng(0).normal(0, 8, RGB.shape), 0, 255).astype(np.uint8)
    assert changed_cells(RGB, RGB) == changed_cells(RGB, noisy) == 0
    assert changed_cells(RGB, scale_rgb(RGB, 100, 100)) == 0
    pink = recolour(RGB, MASK, "#e58fb0")
    assert changed_cells(RGB, pink) > 10
    assert hash_distance(perceptual_hash(RGB), perceptual_hash(pink)) < 10
    assert changed_cells(np.zeros_like(RGB), np.full_like(RGB, 255)) == 64


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_hash_distance_is_a_metric(a, b, c):
    assert hash_distance(a, a) == 0
    assert hash_distance(a, b) == hash_distance(b, a)
    assert hash_distance(a, c) <= hash_distance(a, b) + hash_distance(b, c)


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_a_thumbnail_is_small_and_a_data_uri_holds_it(form):
    data = thumbnail(gradient(600, 900), 120, form)
    image = Image.open(io.BytesIO(data))
    assert image.size == (120, 80)
    assert len(data) < 8000
    uri = data_uri(data)
    assert uri.startswith(f"data:image/{form};base64,")
    assert base64.b64decode(uri.split(",")[1]) == data
    assert thumbnail(gradient(60, 90), 120, form) != data


def test_a_thumbnail_never_grows():
    assert Image.open(io.BytesIO(thumbnail(gradient(60, 90), 320))).size == (90, 60)
