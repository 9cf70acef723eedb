"""A picture is refused as its siblings' double, and a product in another colour is none."""

import numpy as np
import pytest

from catalog_schemas.variant import VariantSpec
from tasks.checks import SIBLING_SIDE, ProductPhotos, Subject
from tasks.checks.novelty import measure
from tasks.imaging.compose import on_flat
from tasks.imaging.pixels import shrink_rgb
from tasks.imaging.recolour import recolour
from tasks.techniques import Pixels, Rgb
from tests.imaging.pictures import mug

PRODUCT, MASK = mug(1024, colour=(150, 205, 180))
SPEC = VariantSpec("mug", *[""] * 4, 0, *[""] * 6, (), 1, 1.0, "", 64, 64, 0.8, 1)


def _packshot(rgb: Rgb) -> Rgb:
    return on_flat(rgb, MASK, "#ffffff", (700, 700))[0]


def _novelty(rgb: Rgb, *siblings: Rgb) -> float | None:
    held = [shrink_rgb(sibling, SIBLING_SIDE) for sibling in siblings]
    return measure(Subject(SPEC, Pixels(rgb), ProductPhotos(list), held, "sks", None))


def test_the_first_picture_of_a_product_has_no_sibling() -> None:
    assert _novelty(PRODUCT) is None


def test_the_same_picture_again_is_none_whatever_its_size_or_noise() -> None:
    noisy = np.clip(PRODUCT + np.random.default_rng(0).normal(0, 5, PRODUCT.shape), 0, 255).astype(np.uint8)
    assert _novelty(PRODUCT, np.fliplr(PRODUCT).copy(), noisy) == 0
    assert _novelty(shrink_rgb(PRODUCT, 300), PRODUCT) == 0


@pytest.mark.parametrize("colour", ["#e58fb0", "#5060c0", "#c0a030", "#202020"])
def test_a_product_in_another_colour_is_another_picture(colour: str) -> None:
    novelty = _novelty(_packshot(recolour(PRODUCT, MASK, colour)), _packshot(PRODUCT))
    assert novelty is not None
    assert novelty >= 3, "what the presets ask for"
