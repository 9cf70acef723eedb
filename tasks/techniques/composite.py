"""The product's own pixels, cut out of a photo, stand in a scene that the model draws: no label can change."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import SOFT_SHADOW, Placement, on_flat, place
from tasks.imaging.recolour import recolour
from tasks.techniques import Pixels, Rgb, Studio, Words

USES_ADAPTER = False
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["composite"] = "composite"


def prompt(words: Words) -> str:
    """The scene without a product: "an empty wooden table, warm window light"."""
    return ", ".join(part for part in (words.scene.empty_prompt, words.background.prompt) if part)


def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
    """Scenes from the model, or flat colour where the background has one, with the cut-out standing in them."""
    drawn = iter(studio.draw([variant for variant in variants if not variant.background_hex]))
    return [_compose(variant, studio, None if variant.background_hex else next(drawn)) for variant in variants]


def _compose(variant: VariantSpec, studio: Studio, scene: Rgb | None) -> Pixels | None:
    photo = studio.photo(variant)
    if photo is None:
        return None
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    if variant.background_hex:
        return Pixels(
            *on_flat(rgb, photo.mask, variant.background_hex, (variant.height, variant.width), 0.7, SOFT_SHADOW)
        )
    if scene is None:
        return None
    return Pixels(*place(rgb, photo.mask, scene, Placement(surface=variant.surface)))
