"""The product's own pixels, cut out of a photo, stand in a scene that the model draws: no label can change."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import Placement, on_flat, place
from tasks.imaging.recolour import recolour
from tasks.imaging.shadow import SOFT_SHADOW
from tasks.techniques import WHITE, Material, Pixels, Words

VERSION = 1
USES_ADAPTER = False
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["composite"] = "composite"


def prompt(words: Words) -> str:
    """The scene without a product: "an empty wooden table, warm window light"; none before a flat colour."""
    if words.background.hex:
        return ""
    return ", ".join(part for part in (words.scene.empty_prompt, words.background.prompt) if part)


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The cut-out standing in the drawn scene, or on flat colour where nothing was drawn."""
    return compose(variant, material, 0.7, Placement(surface=variant.surface), variant.side_maximum)


def compose(
    variant: VariantSpec, material: Material, fill: float, placement: Placement, side_maximum: int | None = None
) -> Pixels:
    """The cut-out in the drawn scene as `placement` says, or filling `fill` of a flat colour where there is none."""
    photo = material.photo()
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    size = variant.height, variant.width  # an enlarged scene is larger: in it a small photo's product would be blurred
    if material.drawn is None:
        colour = variant.background_hex or WHITE
        return Pixels(*on_flat(rgb, photo.mask, colour, size, fill, SOFT_SHADOW, side_maximum))
    return Pixels(*place(rgb, photo.mask, material.drawn, placement, side_maximum, size))
