"""The product's own pixels in a drawn scene, lit as the model draws it there, with its adapter, over the composite.

Image to image (SDEdit, Meng et al. 2021) for the light; `tasks/imaging/relight.py` takes it over.
"""

from dataclasses import replace
from typing import Literal

from catalog_schemas.variant import VariantSpec
from configs.schema import GenerationConfig
from tasks.imaging.compose import AS_TRAINED
from tasks.imaging.relight import relight
from tasks.techniques import Material, Pixels, Words, composite, regenerate

VERSION = 7
USES_ADAPTER = True
DIMENSIONS = frozenset({"scene", "colour", "background", "seed"})
SOURCE_TYPE: Literal["composite"] = "composite"
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
    """The same composite, as large as the photo gives, its product in the light of the model's picture."""
    stood = replace(material, drawn=material.scene)
    placed = composite.compose(variant, stood, AS_TRAINED.share, AS_TRAINED, variant.side_maximum)
    assert material.drawn is not None, "its prompt is never empty"
    assert placed.mask is not None, "a composite knows where its product is"
    return replace(placed, rgb=relight(placed.rgb, placed.mask, material.drawn))
