"""A product's description, how one is drawn at random, and the solid parts that it is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from infra.demo.materials import (
    COLOURS,
    FINISHES,
    MARKS,
    METALS,
    PATTERNS,
    Decal,
    Label,
    Material,
    hex_of,
    linear,
)
from infra.demo.shapes import Distance

GENES = 12
BRANDS = ("LUMO", "NORD", "KIVA", "ALTO", "TERRA", "PICO", "OAKE", "ZEST", "MIRA", "FJEL", "ROVA", "SOLE")


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


def contrast(colour: str, rng: np.random.Generator, names: tuple[str, ...] = tuple(COLOURS)) -> str:
    """A colour name that stands out well against `colour`."""
    own = np.array(linear(hex_of(colour))) ** 0.45
    gaps = {n: float(np.abs(np.array(linear(hex_of(n))) ** 0.45 - own).mean()) for n in names}
    return str(rng.choice([n for n, gap in gaps.items() if gap > 0.28]))


def classes() -> dict[str, ProductClass]:
    """Every product class by its noun."""
    from infra.demo.household import HOUSEHOLD
    from infra.demo.tableware import TABLEWARE
    from infra.demo.wearables import WEARABLES

    return {c.noun: c for c in (*TABLEWARE, *HOUSEHOLD, *WEARABLES)}


def build(spec: ProductSpec) -> list[Part]:
    """The product's parts, standing on y = 0 and facing z."""
    assert len(spec.genes) == GENES, f"{spec.class_noun}: expected {GENES} genes, got {len(spec.genes)}"
    return classes()[spec.class_noun].build(spec, Genes(spec.genes))


def random_label(rng: np.random.Generator, colour: str) -> Label:
    """A label whose ink or paper stands out against `colour`."""
    text = str(rng.choice(BRANDS)) if rng.random() < 0.6 else ""
    if rng.random() < 0.5:
        return Label(str(rng.choice(MARKS)), text, hex_of(contrast(colour, rng)), None)
    paper = contrast(colour, rng, ("white", "white", "beige", "black", "navy", "yellow", "red"))
    return Label(str(rng.choice(MARKS)), text, hex_of(contrast(paper, rng)), hex_of(paper))


def random_product(rng: np.random.Generator, noun: str | None = None, colour: str | None = None) -> ProductSpec:
    """A product drawn at random, of the given class and colour where they are given."""
    known = classes()
    kind = known[noun or str(rng.choice(list(known)))]
    finish = str(rng.choice(kind.finishes))
    if colour is None:
        metal = FINISHES[finish].metal and rng.random() < 0.45
        colour = str(rng.choice(list(METALS))) if metal else str(rng.choice(list(COLOURS)))
    patterned = bool(kind.patterns) and finish not in ("glass", "metal", "wood") and rng.random() < 0.4
    pattern = str(rng.choice(kind.patterns)) if patterned else None
    labelled = pattern in (None, "speckled", "dipped") and rng.random() < kind.labels
    return ProductSpec(
        class_noun=kind.noun,
        colour=colour,
        accent=contrast(colour, rng),
        finish=finish,
        pattern=pattern,
        label=random_label(rng, colour) if labelled else None,
        genes=tuple(round(float(g), 4) for g in rng.random(GENES)),
    )
