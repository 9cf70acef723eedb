"""The product's own pixels, cut out of a photo, stand in a scene that the model draws: no label can change."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.imaging.compose import SOFT_SHADOW, Placement, on_flat, place
from tasks.imaging.recolour import recolour
from tasks.techniques import CutOut, Pixels, Rgb, Studio, Words, each

USES_ADAPTER = False
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["composite"] = "composite"


def prompt(words: Words) -> str:
    """The scene without a product: "an empty wooden table, warm window light"."""
    return ", ".join(part for part in (words.scene.empty_prompt, words.background.prompt) if part)


def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
    """Scenes from the model, or flat colour where the background has one, with the cut-out standing in them."""
    wanted = [variant for variant in variants if not variant.background_hex]
    scenes = {variant.id: scene for variant, scene in zip(wanted, studio.draw(wanted), strict=True)}
    return each(lambda variant: _compose(variant, studio.photo(variant), scenes.get(variant.id)), variants)


def _compose(variant: VariantSpec, photo: CutOut | None, scene: Rgb | None) -> Pixels | None:
    if photo is None:
        return None
    rgb = recolour(photo.rgb, photo.mask, variant.colour_hex) if variant.colour_hex else photo.rgb
    if variant.background_hex:
        colour, size = variant.background_hex, (variant.height, variant.width)
        return Pixels(*on_flat(rgb, photo.mask, colour, size, 0.7, SOFT_SHADOW, variant.side_maximum))
    if scene is None:
        return None
    return Pixels(*place(rgb, photo.mask, scene, Placement(surface=variant.surface), variant.side_maximum))
