"""How a product is described, and what its class makes of the description: solid parts, with their surfaces."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.demo.materials import PATTERNS, Decal, Label, Material, hex_of, linear
from infra.demo.shapes import Distance

GENES = 12


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """Everything that determines a product: its class, colours, finish, pattern, label and the genes of its shape.

    `colour` and `accent` name entries of `COLOURS` or `METALS`; `genes` are `GENES` numbers in [0, 1].
    """

    class_noun: str
    colour: str
    accent: str
    finish: str
    pattern: str | None
    label: Label | None
    genes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One solid part: its signed distance and its surface."""

    shape: Distance
    material: Material


class Genes:
    """Hands out a shape's numbers one after the other."""

    def __init__(self, genes: tuple[float, ...]) -> None:
        self._left = list(genes)

    def between(self, low: float, high: float) -> float:
        """The next number, scaled to [low, high]."""
        return low + (high - low) * self._left.pop(0)


Builder = Callable[[ProductSpec, Genes], list[Part]]


@dataclass(frozen=True, slots=True)
class ProductClass:
    """A class noun with its builder, the finishes it comes in, and whether patterns and labels suit it."""

    noun: str
    build: Builder
    finishes: tuple[str, ...]
    patterns: tuple[str, ...] = PATTERNS
    labels: float = 0.6
    yaw: float = 0.6
    category: str = "Home"


def paint(spec: ProductSpec, decal: Decal | None = None, flat: bool = False, density: float = 5.0) -> Material:
    """The product's main surface: its colour, finish and pattern, with the label where `decal` says."""
    return Material(
        colour=linear(hex_of(spec.colour)),
        finish=spec.finish,
        accent=linear(hex_of(spec.accent)),
        pattern=spec.pattern,
        density=density,
        flat=flat,
        decal=decal,
    )


def plain(colour: str, finish: str = "matte", glow: float = 0.0) -> Material:
    """An unpatterned surface in a named colour or a hex value."""
    return Material(colour=linear(colour if colour.startswith("#") else hex_of(colour)), finish=finish, glow=glow)


def place(spec: ProductSpec, centre: tuple[float, float], half: tuple[float, float], wrap: float = 0.0) -> Decal | None:
    """The product's label at a place on its front, or None where it has none."""
    return Decal(spec.label, centre, half, wrap) if spec.label else None
