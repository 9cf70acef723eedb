"""Whether recolouring changes what the product's maker would: products photographed in one colour and in another.

    make bench-recolour BENCH="--products 100 --seed 5"

The demo studio photographs each product twice in the same light and pose, in two main colours. `recolour` gives the
first photograph the second's colour. What differs between the two photographs is what has that colour; what
`recolour` has changed is held to it (intersection over union), and its colours to the second photograph's: without a
word for the product's colour, with the one that the demo's catalog has and, as a title may mislead, with the words for
its accent and for a colour that it has not.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from configs.library import load_library
from infra.demo.materials import COLOURS, hex_of
from infra.demo.products import build, random_product
from infra.demo.renderer import Pose
from infra.demo.scenes import SCENES
from infra.demo.specs import ProductSpec
from infra.demo.studio import shoot
from tasks.imaging.pixels import Bools, Mask, Rgb
from tasks.planning.colour_words import ColourWords
from tasks.runtime.pictures import cut_free, in_colour
from tasks.techniques import CutOut
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell
from tests.measures import mask_overlap, pixel_colour_difference

BACKDROPS = ("white_studio", "grey_studio", "beige_studio")
TARGETS = ("pink", "green")
CHANGED = 14  # levels of a channel
TOLD = "no word", "its word", "its accent's word", "a word for another colour"
MEANT = TOLD[:2]  # those of which is said what they did not find
FOUND = 0.9  # an overlap above which the part that has the colour was found


class Pair(NamedTuple):
    """A product's photograph, its mask, the other colour, and its photograph in that."""

    spec: ProductSpec
    rgb: Rgb
    mask: Mask
    colour: str
    other: Rgb


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--products", type=int, default=60)
    parser.add_argument("--seed", type=int, default=123, help="of the products, their light and their poses")
    parser.add_argument("--side", type=int, default=512, help="pixels of a photograph")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, "recolour", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each kind of product, and those in which the wrong part was recoloured."""
    torch.set_num_threads(1)
    words = ColourWords(load_library().colours)
    found: dict[str, list[tuple[float, float]]] = {}
    wrong: dict[str, list[str]] = {told: [] for told in MEANT}
    rng = np.random.default_rng(options.seed)
    for pair in photographs(options.products, options.seed, options.side):
        kind = "of two colours in a pattern" if pair.spec.pattern else "of one colour"
        others = sorted(COLOURS.keys() - {pair.spec.colour, pair.spec.accent})
        named = pair.spec.colour, pair.spec.accent, str(rng.choice(others))
        for told, own in zip(TOLD, ("", *map(words.hex_of, named)), strict=True):
            overlap, difference = judged(pair, own)
            found.setdefault(f"{kind}, {told}", []).append((overlap, difference))
            if overlap <= FOUND and told in MEANT:
                wrong[told].append(f"{pair.spec.colour} {pair.spec.class_noun} {overlap:.2f}")
    about = occasion(torch.device("cpu")) | {name: getattr(options, name) for name in ("products", "seed", "side")}
    rows = [_row(kind, np.array(values)) for kind, values in sorted(found.items())]
    return about | {"rows": rows, "wrong": wrong}


def photographs(count: int, seed: int, side: int) -> Iterator[Pair]:
    """Products in random colours, and as they would be in another."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        spec = random_product(rng)
        colour = TARGETS[spec.colour in ("pink", "red", "purple")]
        pose = Pose(float(rng.uniform(-0.55, 0.4)), float(rng.uniform(0.18, 0.4)), 0.72)
        scene = SCENES[str(rng.choice(BACKDROPS))]
        taken, other = (
            shoot(one, scene, seed * 1000 + number, side, build(one), pose, "studio lighting").photograph
            for one in (spec, replace(spec, colour=colour))
        )
        yield Pair(spec, taken.image, taken.mask.astype(np.float32), colour, other.image)


def judged(pair: Pair, own: str = "") -> tuple[float, float]:
    """How far what was recoloured is what should be, 0 to 1, and the median CIEDE2000 of that.

    `own` is the hex code of the first colour, or "", as `in_colour` takes it.
    """
    solid = pair.mask > 0.9
    after = in_colour(cut_free(CutOut(pair.rgb, pair.mask)), hex_of(pair.colour), own).rgb
    should, does = (_changed(pair.rgb, one) & solid for one in (pair.other, after))
    overlap = mask_overlap(should.astype(np.float32), does.astype(np.float32))
    return overlap, pixel_colour_difference(after, pair.other, should.astype(np.float32))


def _changed(before: Rgb, after: Rgb) -> Bools:
    return np.abs(before.astype(int) - after.astype(int)).max(axis=2) > CHANGED


def _row(kind: str, values: Any) -> dict[str, Any]:
    overlaps, differences = values.T
    row = {"products": kind, "number": len(values), "overlap": float(overlaps.mean())}
    row |= {f"above {FOUND}": int((overlaps > FOUND).sum())}
    return row | {"median CIEDE2000": float(np.median(differences))}


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: overlap of what was recoloured and "
        f"what has the main colour, {report['products']} products in photographs of {report['side']} pixels, seed "
        f"{report['seed']}. `make bench-recolour`"
    )
    wrong = [f"Not found with {told}: {', '.join(those)}." for told, those in report["wrong"].items() if those]
    return "\n\n".join([about, "\n".join(as_markdown(report["rows"])), *wrong]) + "\n"


if __name__ == "__main__":
    main()
