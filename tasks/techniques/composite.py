"""The product's own pixels, cut out of a photo, stand in a scene, drawn or photographed: no label can change."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import Placement, on_flat, place
from tasks.imaging.shadow import SOFT_SHADOW
from tasks.techniques import WHITE, Material, Pixels, Words

VERSION = 6
USES_ADAPTER = False
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["composite"] = "composite"


def prompt(words: Words) -> str:
    """The scene without a product: "an empty wooden table, warm window light"; none before a flat colour, or where
    there is a photograph of it."""
    if words.background.hex or words.scene.photos:
        return ""
    return ", ".join(part for part in (words.scene.empty_prompt, words.background.prompt) if part)


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The cut-out standing in the scene, or on flat colour where there is none."""
    usual = Placement()
    placement = Placement(
        share=usual.share if variant.size is None else variant.size,
        x=usual.x if variant.across is None else variant.across,
        surface=variant.surface,
    )
    return compose(variant, material, 0.7, placement, variant.side_maximum)


def compose(
    variant: VariantSpec, material: Material, fill: float, placement: Placement, side_maximum: int | None = None
) -> Pixels:
    """The cut-out in the scene as `placement` says, or filling `fill` of a flat colour where there is none."""
    shown = material.photo(variant)
    size = variant.height, variant.width  # an enlarged scene is larger: in it a small photo's product would be blurred
    if material.drawn is None:
        colour = variant.background_hex or WHITE
        return Pixels(*on_flat(shown.rgb, shown.mask, colour, size, fill, SOFT_SHADOW, side_maximum))
    return Pixels(*place(shown.rgb, shown.mask, material.drawn, placement, side_maximum, size))
