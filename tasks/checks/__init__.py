"""The quality gate's checks: one file each, found by its name in the configuration.

A check is a module with `measure(subject) -> float`; the bounds of that number are the configuration's. One that asks
the CLIP model says `ASKS_SCORER = True`. To add one, add a file here and name it under `checks` in a preset.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from catalog_schemas.variant import VariantSpec
from tasks.imaging.pixels import shrink_rgb
from tasks.runtime.by_name import find, names_in
from tasks.techniques import CutOut, Pixels, Rgb

if TYPE_CHECKING:
    from tasks.engine.similarity import Features, Scorer

Measured = TypeVar("Measured")
SIBLING_SIDE = 512


class ProductPhotos:
    """A product's usable photos. What is measured of them is measured once for all images of a chunk."""

    def __init__(self, read: Callable[[], Iterable[CutOut]]) -> None:
        self._read = read
        self._known: dict[str, list[Any]] = {}

    def measured(self, what: str, measure: Callable[[CutOut], Measured]) -> list[Measured]:
        """`measure` of each photo, one after another; `what` is its name, by which it is known the next time."""
        if what not in self._known:
            self._known[what] = [measure(photo) for photo in self._read()]
        return self._known[what]


@dataclass(frozen=True)
class Subject:
    """An image at the gate: its variant, its pixels, the photos of its product, and the images it is published with.

    `siblings` are the other drafts of the same SKU in this chunk that stand before it, at most `SIBLING_SIDE` pixels
    long, for all of them are held at once; where photos' pixels are shown, those on the same background. `token` is the
    word that stands for the product in the prompt, and `scorer` a CLIP model, where there is one.
    """

    spec: VariantSpec
    pixels: Pixels
    photos: ProductPhotos
    siblings: list[Rgb]
    token: str
    scorer: "Scorer | None"

    @cached_property
    def small(self) -> Rgb:
        """The image at the size of its siblings."""
        return shrink_rgb(self.pixels.rgb, SIBLING_SIDE)

    @cached_property
    def features(self) -> "Features | None":
        """The image's own CLIP features (width,), where there is a CLIP model."""
        return None if self.scorer is None else self.scorer.images([self.pixels.rgb])[0]


class Check(Protocol):
    """The contract of a file in this folder."""

    @staticmethod
    def measure(subject: Subject) -> float | None:
        """The number that the bounds judge; None where the check does not apply to this image."""


def asks_scorer(check: Check) -> bool:
    """Whether the check says `ASKS_SCORER = True`: with another CLIP model its verdicts are others."""
    return getattr(check, "ASKS_SCORER", False)


def check_names() -> list[str]:
    """The files of this folder."""
    return names_in(__name__)


def find_check(name: str) -> Check:
    """The check of that name; ConfigError where there is no such file, or where it lacks what `Check` asks."""
    return cast(Check, find(__name__, name, "checks", Check))
