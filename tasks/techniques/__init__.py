"""How an image's pixels come about: one file each, found by its name in the configuration.

A technique is a module with what `Technique` lists. To add one, add a file here and name it in `variants.techniques`.
"""

import importlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from catalog_schemas.errors import ConfigError
from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.schema import Background, Colour, Scene

Rgb = NDArray[np.uint8]
Mask = NDArray[np.float32]
Made = TypeVar("Made")
AT_ONCE = 4  # pictures of four million pixels, each some 300 MB while it is made


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
class Studio:
    """What a technique works with.

    `draw` renders prompts: it takes the variants, the prompt and negative prompt are theirs, with or without their
    adapter, and gives None for an image that could not be computed. `photo` is the photo of the product that a variant
    shows, with its mask, or None where no photo of the product could be cut out.
    """

    draw: Callable[[list[VariantSpec]], list[Rgb | None]]
    photo: Callable[[VariantSpec], CutOut | None]


class Technique(Protocol):
    """The contract of a file in this folder."""

    USES_ADAPTER: bool
    DIMENSIONS: frozenset[str]  # of scene, colour, background, seed: those that change the picture
    SOURCE_TYPE: Literal["generated", "composite", "none"]  # the IPTC digital source type

    @staticmethod
    def prompt(words: Words) -> str:
        """The prompt of a variant; empty where nothing is drawn by the model."""

    @staticmethod
    def draw(variants: list[VariantSpec], studio: Studio) -> list[Pixels | None]:
        """The pixels of each variant, in order; None where they could not be computed."""


def find_technique(name: str) -> Technique:
    """The technique of that name; ConfigError where there is no such file."""
    try:
        return cast(Technique, importlib.import_module(f"tasks.techniques.{name}"))
    except ModuleNotFoundError as error:
        raise ConfigError(f"variants.techniques: there is no technique {name!r} in tasks/techniques/") from error


def each(function: Callable[..., Made], *columns: Iterable[Any]) -> list[Made]:
    """`function` of every row of `columns`, in order, on several cores: the GPU waits for what is done to pixels."""
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, *columns))


def join_words(*parts: str) -> str:
    """Parts of a prompt with single spaces, empty ones left out."""
    return " ".join(part for part in parts if part)
