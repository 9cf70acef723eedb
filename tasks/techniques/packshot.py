"""The product alone on white, or on one flat colour, filling the picture as marketplaces ask."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import on_flat
from tasks.techniques import WHITE, Material, Pixels, Words

VERSION = 5
USES_ADAPTER = False
DIMENSIONS = frozenset({"colour", "background"})
SOURCE_TYPE: Literal["none"] = "none"


def prompt(words: Words) -> str:
    """Nothing is drawn by the model."""
    return ""


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The cut-out of the photo on its background."""
    shown = material.photo(variant)
    colour, size = variant.background_hex or WHITE, (variant.height, variant.width)
    return Pixels(*on_flat(shown.rgb, shown.mask, colour, size, side_maximum=variant.side_maximum))
