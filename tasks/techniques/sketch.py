"""The model draws along the product's edges, with its adapter: its outline is the photo's, all else is the model's.

ControlNet (Zhang et al. 2023) for Canny edges.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from catalog_schemas.variant import VariantSpec
from configs.schema import GenerationConfig
from tasks.imaging.compose import AS_TRAINED
from tasks.imaging.edges import product_edges
from tasks.techniques import Material, Pixels, Words, composite, regenerate

VERSION = 3
USES_ADAPTER = True
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["generated"] = "generated"
GUIDE: Literal["edges"] = "edges"


def scene(words: Words) -> str:
    """None: there are edges of the product alone."""
    return ""


def prompt(words: Words) -> str:
    """ "a photo of a red sks mug, on a wooden table"."""
    return regenerate.prompt(words)


def strength(generation: GenerationConfig) -> float:
    """The weight of the edges."""
    return generation.sketch_weight


def guide(variant: VariantSpec, material: Material) -> Pixels:
    """The product's edges, where a LoRA expects it: those of the photo in its own colour, since few would be left in
    black."""
    size = (variant.height, variant.width, 3)
    empty = replace(material, drawn=None if variant.background_hex else np.full(size, 255, np.uint8))
    placed = composite.compose(replace(variant, colour_hex=""), empty, AS_TRAINED.share, AS_TRAINED)
    assert placed.mask is not None, "a composite knows where its product is"
    return Pixels(product_edges(placed.rgb, placed.mask), placed.mask)


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The model's picture; the product is where its edges were."""
    return regenerate.make(variant, material)
