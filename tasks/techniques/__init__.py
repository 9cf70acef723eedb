"""How an image's pixels come about: one file each, found by its name in the configuration.

A technique is a module with what `Technique` lists, and with what `Guided` adds where the model does not begin with
noise alone. To add one, add a file here and name it in `variants.techniques`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.entries import Background, Colour, Scene
from configs.schema import GenerationConfig
from tasks.runtime.by_name import find, names_in, refuse_without

Rgb = NDArray[np.uint8]
Mask = NDArray[np.float32]
WHITE = "#ffffff"


@dataclass(frozen=True)
class Words:
    """What a prompt is made of; `token` is the word that an adapter learned for the product.

    `own_colour` is the colour that the product was photographed in, or empty where prompts do not name it.
    """

    product: Product
    token: str
    scene: Scene
    colour: Colour
    background: Background
    own_colour: str = ""


@dataclass(frozen=True)
class Pixels:
    """A drawn variant: `rgb` uint8 (height, width, 3), and the product's `mask` in it where the technique knows it."""

    rgb: Rgb
    mask: Mask | None = None


@dataclass(frozen=True)
class CutOut:
    """A photo of the product with its mask."""

    rgb: Rgb
    mask: Mask


@dataclass(frozen=True)
class Material:
    """What a variant is made of.

    `drawn` is what the model drew for the variant's prompt, enlarged where a network does that; or the photograph of
    its scene, where there is one; or None where the prompt is empty. `photo` gives the photo of the product that a
    variant shows, in its colour, with its mask; it raises Rejected where no photo could be cut out.

    For a guided technique `guide` is what its `guide` has made, as large as what is drawn, and `scene` the place that
    its `scene` has asked for. Where such a technique shows a photo's pixels (`SOURCE_TYPE` is not "generated"), the
    scene is enlarged instead of what is drawn.
    """

    drawn: Rgb | None
    photo: Callable[[VariantSpec], CutOut]
    guide: Pixels | None = None
    scene: Rgb | None = None


class Technique(Protocol):
    """The contract of a file in this folder.

    It may also have a `VERSION`: a number to raise, or to set, when it is changed to make other pixels of the same
    variant and material. Then its pictures are made again, while scenes and other techniques' pictures stay.
    """

    USES_ADAPTER: bool
    DIMENSIONS: frozenset[str]  # those of scene, colour, background and seed that change the picture
    # without "scene" among them, a background that has no colour of its own counts as white
    SOURCE_TYPE: Literal["generated", "composite", "none"]  # the IPTC digital source type

    @staticmethod
    def prompt(words: Words) -> str:
        """What the model is to draw; empty where it is to draw nothing."""

    @staticmethod
    def make(variant: VariantSpec, material: Material) -> Pixels:
        """The pixels of one variant. Several are made at once, in threads, while the model draws for the next."""


class Guided(Technique, Protocol):
    """The contract of a file in this folder whose picture the model draws over another one, or along edges."""

    GUIDE: Literal["image", "edges"]  # drawn over (image to image), or along white lines on black (ControlNet)

    @staticmethod
    def scene(words: Words) -> str:
        """The place without a product that the guide is to show, drawn first and without an adapter; or empty."""

    @staticmethod
    def strength(generation: GenerationConfig) -> float:
        """For an image, the share of the steps in which it is drawn anew; for edges, how much they count."""

    @staticmethod
    def guide(variant: VariantSpec, material: Material) -> Pixels:
        """The guide, as large as the variant, and the product's mask in it; here `material.drawn` is the scene."""


def technique_names() -> list[str]:
    """The files of this folder."""
    return names_in(__name__)


def find_technique(name: str) -> Technique:
    """The technique of that name; ConfigError where there is no such file, or where it lacks what `Technique` asks."""
    return cast(Technique, find(__name__, name, "variants.techniques", Technique))


def find_guided(name: str) -> Guided | None:
    """The technique of that name where it is a guided one; ConfigError as `find_technique`."""
    technique = find_technique(name)
    if not hasattr(technique, "guide"):
        return None
    refuse_without(technique, Guided)
    return cast(Guided, technique)


def version_of(technique: Technique) -> int | None:
    """The technique's own version, where it has one."""
    return getattr(technique, "VERSION", None)


def join_words(*parts: str) -> str:
    """Parts of a prompt with single spaces, empty ones left out."""
    return " ".join(part for part in parts if part)
