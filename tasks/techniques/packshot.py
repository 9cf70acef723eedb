"""The product alone on white, or on one flat colour, filling the picture as marketplaces ask."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import on_flat
from tasks.imaging.recolour import recolour
from tasks.techniques import Pixels, Studio, Words

USES_ADAPTER = False
DIMENSIONS = frozenset({"colour", "background"})
SOURCE_TYPE: Literal["none"] = "none"
WHITE = "#ffffff"


def prompt(words: Words) -> str:
    """Nothing is drawn by the model."""
    return ""


def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
    """The cut-out of each variant's photo on its background."""
    return [_draw(variant, studio) for variant in variants]


def _draw(variant: VariantSpec, studio: Studio) -> Pixels | None:
    photo = studio.photo(variant)
    if photo is None:
        return None
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    return Pixels(*on_flat(rgb, photo.mask, variant.background_hex or WHITE, (variant.height, variant.width)))
