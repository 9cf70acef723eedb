"""The quality gate's checks: one file each, found by its name in the configuration.

A check is a module with `measure(subject) -> float`; the bounds of that number are the configuration's. To add one, add
a file here and name it under `checks` in a preset.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from catalog_schemas.errors import ConfigError
from catalog_schemas.variant import VariantSpec
from tasks.techniques import CutOut, Pixels, Rgb

if TYPE_CHECKING:
    from tasks.engine.similarity import Scorer

SIBLING_SIDE = 512


@dataclass(frozen=True)
class Subject:
    """An image at the gate: its variant, its pixels, the photos of its product, and the images it is published with.

    `photos` reads the product's usable photos when it is called. `siblings` are the other drafts of the same SKU in
    this chunk that stand before it, at most `SIBLING_SIDE` pixels long, for all of them are held at once. `token` is
    the word that stands for the product in the prompt, and `scorer` a CLIP model, where there is one.
    """

    spec: VariantSpec
    pixels: Pixels
    photos: Callable[[], list[CutOut]]
    siblings: list[Rgb]
    token: str
    scorer: "Scorer | None"


class Check(Protocol):
    """The contract of a file in this folder."""

    @staticmethod
    def measure(subject: Subject) -> float | None:
        """The number that the bounds judge; None where the check does not apply to this image."""


def find_check(name: str) -> Check:
    """The check of that name; ConfigError where there is no such file."""
    try:
        return cast(Check, importlib.import_module(f"tasks.checks.{name}"))
    except ModuleNotFoundError as error:
        raise ConfigError(f"checks: there is no check {name!r} in tasks/checks/") from error
