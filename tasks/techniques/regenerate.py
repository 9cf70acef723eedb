"""The whole picture is drawn by the model, which knows the product through its adapter."""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from configs.entries import Background
from tasks.techniques import Material, Pixels, Words, join_words

USES_ADAPTER = True
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["generated"] = "generated"


def prompt(words: Words) -> str:
    """ "a photo of a red sks mug, on a wooden table, against a grey wall"."""
    colour = words.colour.title.lower() if words.colour.hex else words.own_colour
    product = join_words("a photo of a", colour, words.token, words.product.class_noun)
    return ", ".join(part for part in (product, words.scene.prompt, _behind(words.background)) if part)


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The model's picture as it is; the product is where the guide had it, if there was one."""
    assert material.drawn is not None, "its prompt is never empty"
    return Pixels(material.drawn, material.guide.mask if material.guide else None)


def _behind(background: Background) -> str:
    """The background in words; a model knows no hexadecimal numbers."""
    return background.prompt or (f"plain {background.title.lower()} background" if background.hex else "")
