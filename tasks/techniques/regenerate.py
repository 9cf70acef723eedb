"""The whole picture is drawn by the model, which knows the product through its adapter."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from tasks.techniques import Pixels, Studio, Words, join_words

USES_ADAPTER = True
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["generated"] = "generated"


def prompt(words: Words) -> str:
    """ "a photo of a red sks mug, on a wooden table, against a grey wall"."""
    colour = words.colour.title.lower() if words.colour.hex else words.own_colour
    product = join_words("a photo of a", colour, words.token, words.product.class_noun)
    return ", ".join(part for part in (product, words.scene.prompt, words.background.prompt) if part)


def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
    """The model's pictures as they are."""
    return [None if rgb is None else Pixels(rgb) for rgb in studio.draw(variants)]
