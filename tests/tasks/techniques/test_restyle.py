"""What becomes of what the model has drawn over a composite."""

from dataclasses import replace

import numpy as np
import pytest

from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.library import load_library
from configs.schema import GenerationConfig, VariantMatrix
from tasks.imaging.colour import rgb_of
from tasks.imaging.compose import AS_TRAINED
from tasks.planning.matrix import Drawing, expand
from tasks.techniques import CutOut, Material, composite, restyle
from tests.imaging.pictures import mug, wooden_table

MUG = Product("mug-1", "Mug", "mug", ())


def spec_of(background: str) -> VariantSpec:
    matrix = VariantMatrix(techniques=("restyle",), scenes=("wooden-table",), backgrounds=(background,))
    return expand(MUG, matrix, GenerationConfig(), load_library(), Drawing("sks", "adapter", "", (), 64, 0))[0]


@pytest.mark.parametrize("background", ["scene", "sage"])
def test_a_restyled_picture_is_its_composite_as_large_as_the_photo_gives_but_for_the_products_light(background):
    spec, scene = spec_of(background), wooden_table(64) if background == "scene" else None
    seen = Material(scene, lambda _: CutOut(*mug(256)), scene=scene)
    guide = restyle.guide(spec, seen)
    assert guide.rgb.shape == (64, 64, 3)
    made = restyle.make(spec, replace(seen, drawn=(guide.rgb * 0.8).astype(np.uint8), guide=guide))
    placed = composite.compose(spec, seen, AS_TRAINED.share, AS_TRAINED, 2048)
    assert made.rgb.shape == placed.rgb.shape > (150, 150, 3)
    assert (made.mask == placed.mask).all()
    outside, inside = placed.mask == 0, placed.mask > 0.99
    assert (made.rgb[outside] == placed.rgb[outside]).all()
    assert 0.75 < made.rgb[inside].mean() / placed.rgb[inside].mean() < 0.9
    if background == "sage":
        assert (made.rgb[0, 0] == rgb_of(spec.background_hex)).all()
