import cv2
import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.rim import free_rim
from tests.imaging.pictures import mug

OWN = np.array((40, 120, 130), np.float32)


def disc(radius=40.0, side=120):
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return (np.hypot(x, y) < radius).astype(np.float32)


def photograph(old, pixels=1.2, noise=2.0):
    """A disc before a backdrop of the colour `old`, blurred as a lens does; and its true share of each pixel."""
    share = cv2.GaussianBlur(disc(), (0, 0), pixels)
    rgb = OWN * share[..., None] + np.array(old, np.float32) * (1 - share[..., None])
    return np.clip(rgb + np.random.default_rng(0).normal(0, noise, rgb.shape), 0, 255).astype(np.uint8), share


def error(rgb, cover, share, new):
    """How far the rim on the colour `new` is from what a photograph before that would show, in levels."""
    edge = (share > 0.01) & (share < 0.99)
    shown = rgb * cover[..., None] + np.float32(new) * (1 - cover[..., None])
    true = OWN * share[..., None] + np.float32(new) * (1 - share[..., None])
    return np.abs(shown - true)[edge].mean()


@pytest.mark.parametrize("new", [20, 250])
@pytest.mark.parametrize("old", [(240, 240, 238), (25, 25, 30), (90, 140, 40)])
@pytest.mark.parametrize("radius", [39, 40, 41])
def test_a_rim_is_that_of_a_photograph_before_the_new_background_though_the_mask_is_a_pixel_off(radius, old, new):
    rgb, share = photograph(old)
    mask = disc(radius)
    assert error(*free_rim(rgb, mask), share, new) < 0.5 * error(rgb, mask, share, new)


def test_the_old_backdrop_is_taken_out_of_the_edge_and_what_lies_deeper_keeps_its_bytes():
    rgb, mask = mug(256, colour=(170, 40, 50), backdrop=(0, 255, 0), noise=0)
    clean, cover = free_rim(rgb, mask)
    deep = ndimage.binary_erosion(mask >= 0.97, np.ones((3, 3)), iterations=4)
    assert (clean[deep] == rgb[deep]).all()
    assert (cover[deep] == mask[deep]).all()
    edge = (mask > 0.2) & (mask < 0.8)
    assert rgb[edge][:, 1].mean() > 110
    assert clean[edge][:, 1].mean() < 60


@pytest.mark.parametrize("beyond", [0, 255])
def test_the_transparency_of_a_file_stays_whatever_its_unseen_pixels_hold(beyond):
    mask = cv2.GaussianBlur(disc(), (0, 0), 1.0)
    mask[mask < 0.03] = 0.0
    rgb = np.where(mask[..., None] > 0, OWN.astype(np.uint8), np.uint8(beyond))
    clean, cover = free_rim(rgb, mask)
    assert (cover == mask).all()
    assert np.abs(clean[mask > 0] - OWN).max() <= 1


@pytest.mark.parametrize("old", ["alike", "pattern"])
def test_before_what_is_like_the_product_or_patterned_the_mask_is_believed(old):
    rgb, share = photograph(OWN + 12)
    if old == "pattern":
        pattern = np.kron(np.random.default_rng(1).integers(0, 256, (40, 40, 3)), np.ones((3, 3, 1)))
        rgb = (rgb * share[..., None] + pattern * (1 - share[..., None])).astype(np.uint8)
    assert np.abs(free_rim(rgb, disc())[1] - disc()).max() < 0.05


def test_in_a_large_photo_the_lens_blurs_farther_and_more_is_freed():
    share = cv2.GaussianBlur(disc(500, 1200), (0, 0), 3)
    rgb = np.rint(OWN * share[..., None] + 240 * (1 - share[..., None])).astype(np.uint8)
    mask = disc(500, 1200)
    assert error(*free_rim(rgb, mask), share, 20) < 0.4 * error(rgb, mask, share, 20)


def painted(inner, outer, between):
    """The disc's own colour within `inner`, another up to `outer`, and pale paper around."""
    rgb = np.full((120, 120, 3), 240, np.uint8)
    rgb[disc(outer) > 0], rgb[disc(inner) > 0] = between, OWN
    return rgb


def test_a_trim_in_the_backdrops_colour_is_kept_the_more_the_deeper_it_lies():
    mask = disc(40)
    _, cover = free_rim(painted(37, 40, (240, 240, 240)), mask)
    outer, inner = (cover[(disc(radius) - disc(radius - 1)) > 0].mean() for radius in (39, 38))
    assert 0.3 < outer < 0.6 < inner


def test_a_trim_in_a_colour_of_its_own_is_no_mixture():
    rgb, trim = painted(37, 40, (220, 30, 30)), (disc(39.5) - disc(37.5)) > 0
    clean, cover = free_rim(rgb, disc(40))
    assert (cover[trim] == 1).all()
    assert (clean[trim] == rgb[trim]).all()


def test_glass_keeps_its_colour_and_its_transparency():
    rgb, mask = painted(30, 50, (120, 150, 220)), disc(30) + 0.4 * (disc(50) - disc(30))
    clean, cover = free_rim(rgb, mask)
    within = (disc(47) - disc(33)) > 0
    assert (clean[within] == rgb[within]).all()
    assert (cover[within] == mask[within]).all()


def test_a_thread_and_what_fills_the_photo_stay_as_they_are():
    rgb, _ = photograph((240, 240, 238))
    thread = np.zeros((120, 120), np.float32)
    thread[:, 60:62] = 1.0
    for mask in (thread, np.ones_like(thread), np.zeros_like(thread)):
        clean, cover = free_rim(rgb, mask)
        assert (cover == mask).all()
        assert (clean[mask > 0] == rgb[mask > 0]).all()
