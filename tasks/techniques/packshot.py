"""The product alone on white, or on one flat colour, filling the picture as marketplaces ask."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import on_flat
from tasks.imaging.recolour import recolour
from tasks.techniques import WHITE, Material, Pixels, Words

VERSION = 1
USES_ADAPTER = False
DIMENSIONS = frozenset({"colour", "background"})
SOURCE_TYPE: Literal["none"] = "none"


def prompt(words: Words) -> str:
    """Nothing is drawn by the model."""
    return ""


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The cut-out of the photo on its background."""
    photo = material.photo()
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    colour, size = variant.background_hex or WHITE, (variant.height, variant.width)
    return Pixels(*on_flat(rgb, photo.mask, colour, size, side_maximum=variant.side_maximum))
