"""The model draws over a composite, with the adapter: outline and place stay the product's, the light is the scene's.

Image to image (SDEdit, Meng et al. 2021).
"""

from typing import Literal

from catalog_schemas.variant import VariantSpec
from configs.schema import GenerationConfig
from tasks.imaging.compose import AS_TRAINED
from tasks.techniques import Material, Pixels, Words, composite, regenerate

USES_ADAPTER = True
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["generated"] = "generated"
GUIDE: Literal["image"] = "image"


def scene(words: Words) -> str:
    """That of a composite."""
    return composite.prompt(words)


def prompt(words: Words) -> str:
    """ "a photo of a red sks mug, on a wooden table"."""
    return regenerate.prompt(words)


def strength(generation: GenerationConfig) -> float:
    """The share of the steps that is drawn anew."""
    return generation.restyle_strength


def guide(variant: VariantSpec, material: Material) -> Pixels:
    """The composite, with the product where a LoRA expects it: elsewhere, or smaller, it is smeared."""
    return composite.compose(variant, material, AS_TRAINED.share, AS_TRAINED)


def make(variant: VariantSpec, material: Material) -> Pixels:
    """The model's picture; the product is where it was in the composite."""
    return regenerate.make(variant, material)
