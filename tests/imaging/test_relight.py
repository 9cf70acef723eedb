import cv2
import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.colour import from_linear, to_linear, to_oklab
from tasks.imaging.compose import AS_TRAINED, place
from tasks.imaging.pixels import scale_rgb
from tasks.imaging.recolour import recolour
from tasks.imaging.relight import relight
from tests.imaging.pictures import mug, wooden_table

COLOUR = (170, 40, 50)
RGB, MASK = place(*mug(256, noise=0.0), wooden_table(), AS_TRAINED)
INSIDE = ndimage.binary_erosion(MASK > 0.99, iterations=3)
LABEL = INSIDE & (RGB.min(axis=2) > 200)
EMBLEM = INSIDE & (RGB.max(axis=2) < 60)


def smeared(rgb):
    """As a small model draws it: soft, and its label a blob of the body's colour."""
    drawn = rgb.copy()
    drawn[LABEL | EMBLEM] = COLOUR
    return scale_rgb(cv2.GaussianBlur(drawn, (0, 0), 4), 128, 128)


def lit(rgb, light):
    return from_linear(to_linear(rgb) * light.astype(np.float32))


@pytest.mark.parametrize("brightness", [0.7, 1.0, 1.5])
def test_a_label_that_the_model_has_smeared_is_as_sharp_as_in_the_photo(brightness):
    drawn = smeared(lit(RGB, np.full(3, brightness)))
    after = relight(RGB, MASK, drawn)
    contrast, kept = ((np.median(one[LABEL]) - np.median(one[EMBLEM])) for one in (RGB, after))
    assert abs(np.median(drawn[cv2.resize(LABEL.astype(np.uint8), (128, 128)) > 0].astype(float)) - 238) > 60
    assert kept > 0.65 * contrast
    edges, sharp = (np.abs(np.diff(one[..., 1].astype(float), axis=1)).max() for one in (RGB, after))
    assert sharp > 0.65 * edges


def test_the_product_takes_the_light_that_was_drawn_on_it_and_what_is_around_keeps_its_bytes():
    x = np.linspace(0, 1, 256)[None]
    light = (0.75 + 0.5 * x)[..., None] * np.array([1.05, 1.0, 0.93])
    drawn = scale_rgb(lit(RGB, light), 96, 96)  # in a size of its own
    after = relight(RGB, MASK, drawn)
    assert (after[MASK == 0] == RGB[MASK == 0]).all()
    body = INSIDE & ~LABEL & ~EMBLEM
    wanted, got = ((to_oklab(one) - to_oklab(RGB))[body] for one in (lit(RGB, light), after))
    assert np.corrcoef(wanted[:, 0], got[:, 0])[0, 1] > 0.95
    assert 0.6 < (wanted * got).sum() / (wanted**2).sum() < 1.1
    warm, white = (to_oklab(one)[LABEL, 2].mean() for one in (after, RGB))
    assert warm > white + 0.005


def test_white_grows_lighter_and_is_not_burnt_out():
    label = np.median(relight(RGB, MASK, lit(RGB, np.full(3, 1.4)))[LABEL])
    assert np.median(RGB[LABEL]) < label < 245


def test_where_the_light_is_the_photos_nothing_changes():
    assert np.abs(relight(RGB, MASK, RGB).astype(int) - RGB).max() <= 1


def test_a_product_that_is_drawn_elsewhere_leaves_no_ghost():
    after = relight(RGB, MASK, np.roll(RGB, 20, axis=1))
    assert (after[MASK == 0] == RGB[MASK == 0]).all()
    edges = [cv2.Canny(one, 100, 200) > 0 for one in (RGB, after)]
    near = ndimage.binary_dilation(edges[0], iterations=2)
    assert edges[1][~near].sum() == 0


def test_a_product_in_another_colour_keeps_it_and_its_label_though_the_model_draws_its_own():
    pink = recolour(RGB, MASK, "#e79ab0")
    after = relight(pink, MASK, smeared(RGB))
    body = INSIDE & ~LABEL & ~EMBLEM
    before, now = (np.median(to_oklab(one)[body], axis=0) for one in (pink, after))
    turned = np.arctan2(now[2], now[1]) - np.arctan2(before[2], before[1])
    assert abs(np.angle(np.exp(1j * turned))) < 0.45
    assert np.hypot(*np.median(to_oklab(after)[LABEL], axis=0)[1:]) < 0.04, "white is white, in a pale light"


def test_a_thread_is_lit_too_and_an_empty_mask_changes_nothing():
    thread = np.zeros_like(MASK)
    thread[:, 100] = 0.6
    darker = lit(RGB, np.full(3, 0.7))
    share = to_linear(relight(RGB, thread, darker))[:, 100].mean() / to_linear(RGB)[:, 100].mean()
    assert share == pytest.approx(1 - 0.3 * 0.6, abs=0.03), "as far as it is there"
    assert (relight(RGB, np.zeros_like(MASK), darker) == RGB).all()
