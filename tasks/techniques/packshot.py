"""The product alone on white, or on one flat colour, filling the picture as marketplaces ask."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import on_flat
from tasks.imaging.recolour import recolour
from tasks.techniques import CutOut, Pixels, Studio, Words, each

USES_ADAPTER = False
DIMENSIONS = frozenset({"colour", "background"})
SOURCE_TYPE: Literal["none"] = "none"
WHITE = "#ffffff"


def prompt(words: Words) -> str:
    """Nothing is drawn by the model."""
    return ""


def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
    """The cut-out of each variant's photo on its background."""
    return each(lambda variant: _draw(variant, studio.photo(variant)), variants)


def _draw(variant: VariantSpec, photo: CutOut | None) -> Pixels | None:
    if photo is None:
        return None
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    colour, size = variant.background_hex or WHITE, (variant.height, variant.width)
    return Pixels(*on_flat(rgb, photo.mask, colour, size, side_maximum=variant.side_maximum))
