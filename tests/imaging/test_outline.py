"""Products before plain backdrops of their own colour, drawn and photographed in the demo's studio."""

import numpy as np
import pytest
from scipy import ndimage

from infra.demo.products import random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from tasks.imaging.cut_out import cut_out
from tasks.imaging.outline import agreement, fenced_off, outline_of
from tests.imaging.pictures import mug, overlap
from tests.measures import mask_overlap

WHITE, PAPER = (244, 243, 240), (250, 250, 250)


@pytest.mark.parametrize("side", [256, 700])
def test_white_on_white_is_found_and_its_handle_can_be_seen_through(side):
    rgb, mask = mug(side, colour=WHITE, backdrop=PAPER, noise=0)
    found = cut_out(rgb)
    assert overlap(found, mask) > 0.97
    assert found[int(0.51 * side), int(0.70 * side)] < 0.1


def test_a_cameras_noise_costs_the_handle_at_most():
    rgb, mask = mug(256, colour=WHITE, backdrop=PAPER, noise=1.0)
    assert overlap(cut_out(rgb), mask) > 0.9


STUDIOS = ("white_studio", "grey_studio", "beige_studio")


@pytest.mark.parametrize("backdrops", [STUDIOS, *(pytest.param((one,), marks=pytest.mark.soak) for one in STUDIOS)])
def test_pale_products_are_found_in_a_studio(backdrops):
    """With soft shadows, gloss, prints and parts of other colours, which is what colours alone found."""
    overlaps = []
    for seed, noun in enumerate(("mug", "chair", "sneaker", "backpack", "teapot", "vase")):
        spec, backdrop = random_product(np.random.default_rng(seed), noun, "white"), backdrops[seed % len(backdrops)]
        shot = shoot(spec, SCENES[backdrop], seed, 256, mood="studio lighting").photograph
        overlaps.append(mask_overlap(cut_out(shot.image), shot.mask))
    assert np.median(overlaps) > 0.9, overlaps
    assert sum(one < 0.8 for one in overlaps) <= 1, overlaps


def test_surroundings_that_are_not_plain_have_no_outline():
    rgb, _ = mug(256)
    grain = np.random.default_rng(1).normal(0, 8, (256, 64)).repeat(4, axis=1)[..., None]
    assert outline_of(np.clip(rgb + grain, 0, 255).astype(np.uint8)) is None


def test_nothing_is_fenced_off_in_a_blank_picture():
    blank = np.full((200, 200, 3), 250, np.uint8)
    outline = outline_of(blank)
    assert outline is not None
    assert fenced_off(blank, outline) is None


def test_a_fence_along_the_border_is_no_product():
    y, x = np.mgrid[0 : 1 : 200 * 1j, 0 : 1 : 200 * 1j]
    folds = np.where((x + 0.3 * np.sin(5 * y) > 0.7)[..., None], 150, 240) * np.ones(3)
    rgb = np.clip(folds, 0, 255).astype(np.uint8)
    rgb[60:120, 40:90] = 90
    outline = outline_of(rgb)
    assert outline is not None
    fenced = fenced_off(rgb, outline)
    assert fenced is None or fenced[:, 150:].mean() < 0.1


def test_a_crumb_beside_the_product_is_none_of_it():
    rgb, mask = mug(256, noise=0)
    rgb[24:34, 24:34] = 60
    outline = outline_of(rgb)
    assert outline is not None
    assert outline.edges[20:38, 20:38].any()
    fenced = fenced_off(rgb, outline)
    assert fenced is not None
    assert not fenced[:40, :40].any()
    assert overlap(fenced.astype(np.float32), mask) > 0.95


def test_a_mask_agrees_with_an_outline_that_it_follows():
    rgb, mask = mug(256, noise=0)
    outline, solid = outline_of(rgb), mask > 0.5
    assert outline is not None
    half, large = solid & (np.arange(256) < 120), ndimage.binary_dilation(solid, iterations=25)
    whole = np.ones_like(solid)
    assert agreement(solid, outline) > 0.9 > agreement(half, outline)
    assert agreement(large, outline) < 0.5
    assert agreement(whole, outline) == agreement(~whole, outline) == agreement(None, outline) == 0.0
