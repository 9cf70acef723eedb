from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from skimage import color

from tasks.imaging.colour import from_linear, from_oklab, rgb_of, to_linear, to_oklab
from tasks.imaging.decode import decode
from tasks.imaging.recolour import recolour
from tests.imaging.pictures import mug

RGB, MASK = mug(256)
BODY = ndimage.binary_erosion(MASK > 0.99, iterations=3)
BODY[int(0.38 * 256) : int(0.66 * 256), int(0.35 * 256) : int(0.59 * 256)] = False
LABEL = np.zeros(MASK.shape, bool)
LABEL[int(0.43 * 256) : int(0.62 * 256), int(0.40 * 256) : int(0.55 * 256)] = True


@pytest.mark.parametrize("target", ["#2b5fb3", "#2f7d4a", "#f2c230", "#e79ab0", "#6f4a30"])
@pytest.mark.parametrize("colour", [(170, 40, 50), (40, 90, 160), (128, 128, 130)])
def test_the_body_takes_the_colour_and_its_hue(target, colour):
    rgb, mask = mug(256, colour=colour)
    moved = to_oklab(recolour(rgb, mask, target))[BODY]
    goal = to_oklab(np.array(rgb_of(target), np.uint8))
    middle = np.median(moved, axis=0)
    assert abs(middle[0] - goal[0]) < 0.06
    turned = np.angle(np.exp(1j * (np.arctan2(middle[2], middle[1]) - np.arctan2(goal[2], goal[1]))))
    assert abs(turned) < 0.25


@pytest.mark.parametrize(("target", "low", "high"), [("#ffffff", 0.88, 1.0), ("#000000", 0.1, 0.35)])
def test_white_and_black_are_convincing_and_keep_their_shading(target, low, high):
    moved = to_oklab(recolour(RGB, MASK, target))[BODY]
    assert low < np.median(moved[:, 0]) < high
    assert np.hypot(moved[:, 1], moved[:, 2]).max() < 0.08
    assert moved[:, 0].std() > 0.008


@pytest.mark.parametrize("target", ["#2b5fb3", "#ffffff", "#000000"])
def test_the_label_and_its_emblem_stay(target):
    before, after = (color.rgb2lab(rgb)[LABEL] for rgb in (RGB, recolour(RGB, MASK, target)))
    assert np.median(color.deltaE_ciede2000(before, after)) < 1.0


@pytest.mark.parametrize("target", ["#2b5fb3", "#f2c230", "#e79ab0"])
def test_a_deep_shadow_takes_the_colour_and_neutral_parts_beside_it_do_not(target):
    """A shadow keeps the ratio of the channels, in linear light; black, grey and white have none to keep."""
    lit = to_linear(np.array((170, 40, 50), np.uint8))
    shades = from_linear(np.linspace(1.0, 0.03, 160, dtype=np.float32)[:, None, None] * np.tile(lit, (1, 160, 1)))
    neutral = [(20, 20, 20), (30, 27, 26), (24, 26, 30), (60, 56, 54), (128, 124, 122), (240, 238, 235)]
    shades[:, 130:] = np.repeat(np.array([*neutral, *neutral[:2]], np.uint8), 20, axis=0)[:, None]
    after = recolour(shades, np.ones((160, 160), np.float32), target)
    assert abs(after[:, 135:].astype(int) - shades[:, 135:]).max() <= 1
    goal, dark = to_oklab(np.array(rgb_of(target), np.uint8)), to_oklab(after)[140:, :120]
    along = dark[..., 1:] @ goal[1:] / np.hypot(*goal[1:])
    assert (along > 0.5 * np.hypot(*goal[1:]) * dark[..., 0] / goal[0]).all(), "as saturated as the rest"
    assert dark[..., 0].max() < 0.85 * goal[0]


@pytest.mark.parametrize(
    ("case", "face"),
    [
        ((40, 90, 160), (238, 236, 230)),
        ((40, 90, 160), (30, 30, 32)),
        ((220, 140, 40), (40, 120, 60)),
        ((160, 158, 156), (30, 30, 32)),
        ((160, 158, 156), (40, 120, 60)),
    ],
)
def test_a_face_or_a_lens_stays_though_it_is_larger_than_what_holds_it(case, face):
    away = np.hypot(*np.mgrid[-100:100, -100:100])
    rgb = np.full((200, 200, 3), case, np.uint8)
    rgb[away < 76] = face
    product = (away < 96).astype(np.float32)
    assert (away < 76).sum() > 1.6 * ((away < 96) & (away >= 76)).sum()
    after = recolour(rgb, product, "#b03080").astype(int)
    assert np.abs(after - rgb)[away < 72].max() <= 1
    assert np.abs(after - rgb)[(away > 80) & (away < 92)].max(axis=1).min() > 20


@pytest.mark.parametrize(
    ("main", "other", "stays"),
    [
        ((124, 124, 126), (40, 40, 42), True),  # a chair's legs
        ((44, 44, 46), (128, 128, 130), True),  # a band across a cushion
        ((124, 124, 126), (232, 232, 234), True),  # a ribbon around a box
        ((44, 44, 46), (34, 46, 64), True),  # tinted glass in a black frame
        ((236, 236, 236), (158, 158, 158), False),  # a white box's side that is turned away from the light
        ((124, 124, 126), (74, 74, 76), False),  # and a grey one's
    ],
)
def test_a_grey_product_keeps_parts_of_another_grey_and_its_shaded_sides_take_the_colour(main, other, stays):
    rgb = np.full((200, 200, 3), main, np.float32)
    rgb[140:] = other
    rgb *= np.linspace(0.94, 1.06, 200)[None, :, None]
    rgb = np.clip(rgb + np.random.default_rng(0).normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)
    change = np.abs(recolour(rgb, np.ones((200, 200), np.float32), "#e79ab0").astype(int) - rgb).max(axis=2)
    assert np.median(change[:130]) > 14
    assert np.median(change[150:]) < 3 if stays else np.median(change[150:]) > 14


def test_a_coloured_products_grey_parts_are_not_its_colour_though_they_are_a_little_more_of_it():
    rgb = np.full((100, 100, 3), (170, 40, 50), np.uint8)
    rgb[:55] = (120, 120, 122)
    after = recolour(rgb, np.ones((100, 100), np.float32), "#2b5fb3")
    assert (after[:50] == rgb[:50]).all()
    assert abs(after[60:].astype(int) - rgb_of("#2b5fb3")).max() <= 2


@pytest.mark.parametrize(("own", "taken"), [("#b02028", 0), ("#2050b0", 1), ("#f2c230", 0), ("", 0)])
def test_of_two_colours_the_named_one_is_the_products_and_one_that_it_has_not_decides_nothing(own, taken):
    rgb = np.full((100, 100, 3), (170, 40, 50), np.uint8)
    rgb[52:] = (40, 90, 160)  # the lesser half
    change = np.abs(recolour(rgb, np.ones((100, 100), np.float32), "#2f7d4a", own).astype(int) - rgb).max(axis=2)
    changed, kept = (change[:48], change[56:])[:: -1 if taken else 1]
    assert changed.min() > 40
    assert kept.max() <= 1


def test_a_label_is_not_the_product_though_it_has_the_named_colour():
    rgb = np.full((100, 100, 3), (170, 40, 50), np.uint8)
    rgb[30:50, 30:70] = (40, 90, 160)
    after = recolour(rgb, np.ones((100, 100), np.float32), "#2f7d4a", "#2050b0").astype(int)
    assert np.abs(after - rgb)[32:48, 32:68].max() <= 1
    assert np.abs(after - rgb)[60:].max(axis=2).min() > 40


@pytest.mark.parametrize(
    ("foot", "rows", "stays"),
    [
        ((140, 96, 66), 30, True),  # wood: of the shade's hue, and much paler
        ((205, 155, 60), 30, True),  # brass: another hue, though not far off
        ((150, 84, 34), 30, False),  # the shade's own orange in half of the light
        ((255, 198, 150), 30, False),  # the lamp's reflection on it: paler, too, and lighter
        ((140, 96, 66), 80, False),  # nearly half of the product: its own colour in another light
    ],
)
def test_another_material_of_a_like_colour_stays(foot, rows, stays):
    rgb = np.full((200, 100, 3), (235, 132, 40), np.uint8)
    rgb[200 - rows :] = foot
    rgb = np.clip(rgb + np.random.default_rng(0).normal(0, 3, rgb.shape), 0, 255).astype(np.uint8)
    after = recolour(rgb, np.ones((200, 100), np.float32), "#2b5fb3").astype(int)
    assert np.median(after[:80, :, 2] - after[:80, :, 0]) > 80
    changed = np.median(np.abs(after[-rows + 5 :] - rgb[-rows + 5 :]).max(axis=2))
    assert changed < 3 if stays else changed > 25


def test_an_edge_that_mirrors_what_is_around_takes_the_colour_and_ink_of_a_like_hue_stays():
    """As a purple candle's with navy letters: the edge is paler, and its hue lies between the two."""
    lab = np.empty((200, 100, 3), np.float32)
    lab[:] = (0.48, 0.08, -0.115)
    lab[:, :6] += np.linspace(1.0, 0.0, 6)[:, None] * np.array([-0.02, -0.042, 0.04], np.float32)
    lab[60:90, 30:90] = (0.27, 0.005, -0.055)
    lab += np.random.default_rng(0).normal(0, 0.004, lab.shape).astype(np.float32)
    rgb = from_oklab(lab)
    change = np.abs(recolour(rgb, np.ones((200, 100), np.float32), "#e79ab0").astype(int) - rgb).max(axis=2)
    assert np.median(change[:, :2]) > 40
    assert np.median(change[65:85, 35:85]) < 12


TEAL, GREY = (31, 122, 116), (110, 112, 116)


def _lined(main, line, at, width):
    """A product of one colour with a line from top to bottom, which fades into it as a reflection does."""
    colours = np.tile(np.array(main, np.float32), (300, 600, 1))
    share = np.concatenate([np.ones(width), np.linspace(1, 0, 4)[1:]])[:, None]
    colours[:, at : at + width + 3] += share * (np.array(line, np.float32) - main)
    mask = np.ones((300, 600), np.float32)
    mask[:, :5] = mask[:, -5:] = 0.0
    return np.rint(colours).astype(np.uint8), mask


@pytest.mark.parametrize("target", ["#f4f4f2", "#e9c832", "#1c1c1e"])
def test_an_outline_that_mirrors_grey_surroundings_takes_the_colour_of_what_lies_behind_it(target):
    recoloured = to_oklab(recolour(*_lined(TEAL, GREY, 5, 3), target))
    middle = recoloured[150, 200]
    assert np.abs(recoloured[20:-20, 5:30] - middle).max() < 0.06


@pytest.mark.parametrize(
    ("main", "line", "at", "width"),
    [
        pytest.param(TEAL, (20, 20, 20), 5, 3, id="a black trim"),
        pytest.param(TEAL, (240, 238, 235), 5, 3, id="a white one"),
        pytest.param(TEAL, (170, 80, 60), 5, 3, id="one of another colour"),
        pytest.param(TEAL, GREY, 5, 20, id="a grey part"),
        pytest.param(TEAL, GREY, 200, 3, id="a grey line within"),
        pytest.param(GREY, (150, 90, 80), 5, 3, id="a trim of a grey product"),
    ],
)
def test_lines_that_mirror_nothing_stay(main, line, at, width):
    rgb, mask = _lined(main, line, at, width)
    kept = slice(at, at + width - 1)
    assert np.abs(recolour(rgb, mask, "#e9c832")[:, kept].astype(int) - rgb[:, kept]).max() < 25


def test_a_purple_candles_navy_moon_and_letters_keep_their_ink():
    """Parts of them are as near to purple as some of its shades are."""
    demo = Path(__file__).parents[2] / "infra/demo/photographs"
    rgb, mask = (
        decode((demo / kind / "DEMO-CANDLE-006" / name).read_bytes(), 1 << 24).rgb
        for kind, name in (("photos", "00.jpg"), ("masks", "00.png"))
    )
    dark = (to_oklab(rgb)[..., 0] < 0.36) & (mask[..., 0] > 250)
    ink = ndimage.binary_erosion(ndimage.binary_opening(dark, iterations=3), iterations=2)
    after = recolour(rgb, mask[..., 0].astype(np.float32) / 255, "#f4f4f2", "#5b2a86")
    assert ink.sum() > 5000
    assert np.abs(after[ink].astype(int) - rgb[ink]).max() < 20


def test_a_dark_blue_is_not_grey_and_the_silver_and_brown_beside_it_stay():
    """As a can's rims and the star on its label: a dark colour has little chroma."""
    of = {"blue": (0.364, 0.002, -0.052), "sheen": (0.504, 0.002, -0.025), "brown": (0.46, 0.034, 0.041)}
    of |= {"silver": (0.691, -0.003, -0.006), "pale": (0.78, -0.005, 0.0), "white": (0.926, -0.007, 0.002)}
    rows = {"blue": 40, "sheen": 10, "brown": 9, "silver": 15, "pale": 13, "white": 13}
    lab = np.repeat(np.array([of[name] for name in rows], np.float32), list(rows.values()), axis=0)[:, None]
    lab = lab + np.random.default_rng(0).normal(0, 0.004, (100, 100, 3)).astype(np.float32)
    rgb = from_oklab(lab)
    change = np.abs(recolour(rgb, np.ones((100, 100), np.float32), "#e79ab0").astype(int) - rgb).max(axis=(1, 2))
    assert change[:38].min() > 100
    assert change[52:].max() < 12


def blurred(colours, width=3, stripe=30):
    """Stripes of these colours, `stripe` pixels wide each, that a lens has blurred into each other."""
    stripes = np.repeat(np.array(colours, np.float32), stripe, axis=0)[None].repeat(60, axis=0)
    return np.rint(ndimage.uniform_filter1d(stripes, width, axis=1)).astype(np.uint8)


@pytest.mark.parametrize("target", ["#f4f3ef", "#1c1c1e", "#f2c230", "#e79ab0"])
@pytest.mark.parametrize(("old", "label"), [((27, 42, 86), (220, 175, 32)), ((45, 125, 125), (240, 236, 238))])
def test_no_line_of_the_old_colour_is_left_around_a_label(old, label, target):
    whole = np.ones((60, 120), np.float32)
    after = recolour(blurred([old, label, old, old]), whole, target).astype(int)
    new = recolour(np.full((60, 120, 3), old, np.uint8), whole, target)[0, 0]
    assert np.abs(after - blurred([new, label, new, new])).max() < 14


def test_a_short_gap_between_two_parts_of_a_label_takes_the_colour():
    def lettered(colour):
        rgb = np.full((120, 120, 3), colour, np.float32)
        rgb[50:68, 20:100] = (240, 236, 238)
        rgb[50:68, 59:62] = colour
        return np.rint(ndimage.uniform_filter(rgb, (3, 3, 1))).astype(np.uint8)

    whole, teal = np.ones((120, 120), np.float32), (45, 125, 125)
    new = recolour(np.full((120, 120, 3), teal, np.uint8), whole, "#1c1c1e")[0, 0]
    gap = slice(53, 65), slice(56, 65)
    after = recolour(lettered(teal), whole, "#1c1c1e")[gap].astype(int)
    assert np.abs(after - lettered(new)[gap]).max() < 30


def test_a_large_photos_wider_edges_keep_no_line_either():
    old, label = (27, 42, 86), (220, 175, 32)
    whole = np.ones((60, 2000), np.float32)
    after = recolour(blurred([old, label, old, old], 9, 500), whole, "#f4f3ef").astype(int)
    new = recolour(np.full((60, 2000, 3), old, np.uint8), whole, "#f4f3ef")[0, 0]
    assert np.abs(after - blurred([new, label, new, new], 9, 500)).max() < 30


@pytest.mark.parametrize(("dark", "at_most"), [((90, 16, 22), 190), ((165, 34, 42), 210)])
def test_a_dark_seam_beside_another_colour_stays_dark_and_takes_no_hue(dark, at_most):
    rgb = np.full((60, 120, 3), (205, 42, 52), np.uint8)
    rgb[:, 80:] = (236, 236, 238)
    rgb[:, 78:80] = dark
    seam = recolour(rgb, np.ones((60, 120), np.float32), "#f4f3ef")[10:50, 78:80].astype(int)
    assert seam.mean() < at_most
    assert np.ptp(seam, axis=2).max() < 40


def test_on_a_darker_colour_light_and_shade_differ_less_and_a_reflection_is_as_bright_as_before():
    lab = np.zeros((100, 100, 3), np.float32)
    lab[:] = np.linspace(0.55, 0.65, 100)[:, None, None] * np.array([1.0, 0.16, 0.08], np.float32)
    lab[:6, :6] = (0.85, 0.048, 0.024)
    after = to_oklab(recolour(from_oklab(lab), np.ones((100, 100), np.float32), "#000000"))[..., 0]
    assert np.ptp(after[:, 50]) < 0.55 * np.ptp(lab[:, 50, 0])
    assert after[2, 2] - np.median(after) > 0.9 * (0.85 - 0.6)


def test_on_a_lighter_colour_shades_are_little_deeper_and_what_is_lit_is_not_burnt_out():
    grey = np.linspace(0.25, 0.35, 100, dtype=np.float32)[:, None, None] * np.ones((1, 100, 3), np.float32)
    rgb = from_oklab(grey * np.array([1.0, 0.0, 0.0], np.float32))
    dark, middle, bright = to_oklab(recolour(rgb, np.ones((100, 100), np.float32), "#ffffff"))[[2, 50, 97], 50, 0]
    assert 0.05 < middle - dark < 0.1
    assert middle < bright < 0.98


def test_a_pixel_that_the_product_covers_in_part_changes_by_that_part():
    rgb, mask = (
        np.full((40, 100, 3), (170, 40, 50), np.uint8),
        np.tile(np.linspace(0, 1, 100, dtype=np.float32), (40, 1)),
    )
    whole, part = (recolour(rgb, cover, "#2b5fb3").astype(int) - rgb for cover in (np.ones_like(mask), mask))
    assert np.abs(part - whole * mask[..., None]).max() < 1
    sheer = recolour(rgb, np.full_like(mask, 0.6), "#2b5fb3").astype(int) - rgb
    assert np.abs(sheer - 0.6 * whole).max() < 1, "though it is wholly covered nowhere"


def test_a_frame_that_reaches_the_photos_edges_is_the_product_and_the_picture_in_it_stays():
    rgb = np.full((200, 200, 3), (40, 90, 160), np.uint8)
    rgb[16:-16, 16:-16] = (40, 120, 60)
    change = np.abs(recolour(rgb, np.ones((200, 200), np.float32), "#b03080").astype(int) - rgb).max(axis=2)
    assert change[20:-20, 20:-20].max() <= 1
    assert change[:12].min() > 20


@pytest.mark.parametrize("pixels", [1, 23])
def test_a_product_of_few_pixels_has_a_colour_too(pixels):
    mask = np.zeros((8, 8), np.float32)
    mask.ravel()[:pixels] = 1.0
    after = recolour(np.full((8, 8, 3), (170, 40, 50), np.uint8), mask, "#2b5fb3")
    assert abs(after[mask == 1].astype(int) - rgb_of("#2b5fb3")).max() <= 2


def test_outside_the_mask_no_byte_changes():
    assert (recolour(RGB, MASK, "#2b5fb3")[MASK == 0] == RGB[MASK == 0]).all()


def test_lighter_stays_lighter():
    before, after = (to_oklab(rgb)[..., 0][BODY] for rgb in (RGB, recolour(RGB, MASK, "#2b5fb3")))
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_an_empty_mask_changes_nothing():
    assert (recolour(RGB, np.zeros_like(MASK), "#2b5fb3") == RGB).all()


def test_oklab_there_and_back_is_the_same_colour():
    colours = np.random.default_rng(0).integers(0, 256, (500, 3), dtype=np.uint8)
    assert abs(from_oklab(to_oklab(colours)).astype(int) - colours).max() <= 1
    assert (from_oklab(np.array([[0.7, 0.4, 0.4], [0.5, -0.4, 0.1]], np.float32)) <= 255).all()


@pytest.mark.parametrize("wrong", ["", "#fff", "ffffff0", "#gggggg"])
def test_what_is_no_colour_is_refused(wrong):
    with pytest.raises(ValueError, match=r"colour|base 16"):
        rgb_of(wrong)
