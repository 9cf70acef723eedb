"""The product classes that the demo studio knows, and products drawn at random."""

import numpy as np

from infra.demo.household import HOUSEHOLD
from infra.demo.materials import COLOURS, FINISHES, MARKS, METALS, Label, hex_of, linear
from infra.demo.specs import GENES, Genes, Part, ProductClass, ProductSpec
from infra.demo.tableware import TABLEWARE
from infra.demo.wearables import WEARABLES

BRANDS = ("LUMO", "NORD", "KIVA", "ALTO", "TERRA", "PICO", "OAKE", "ZEST", "MIRA", "FJEL", "ROVA", "SOLE")


def contrast(colour: str, rng: np.random.Generator, names: tuple[str, ...] = tuple(COLOURS)) -> str:
    """A colour name that stands out well against `colour`."""
    own = np.array(linear(hex_of(colour))) ** 0.45
    gaps = {n: float(np.abs(np.array(linear(hex_of(n))) ** 0.45 - own).mean()) for n in names}
    return str(rng.choice([n for n, gap in gaps.items() if gap > 0.28]))


def classes() -> dict[str, ProductClass]:
    """Every product class by its noun."""
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
