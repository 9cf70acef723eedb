"""How well products are cut out of photographs whose exact masks are known: the demo studio's, as JPEG files.

    make bench-cut-out BENCH="--photos 150 --seed 123"
    make bench-cut-out BENCH="--segmenter isnet-general-use.onnx --mean 0.5 0.5 0.5 --std 1 1 1"

Two of three photographs show a product before a plain backdrop, the others in a scene; every second product is white,
grey, beige or black. Each mask is judged by its overlap with the true one (intersection over union): as `cut_out` finds
it, and by colours alone, without the outline; where a network is given, as `cut_out` finds it with the network's help,
and by the network alone.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from catalog_schemas.identity import bytes_id
from configs.schema import SegmenterConfig
from infra.demo.products import random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from tasks.imaging.cut_out import cut_out
from tasks.imaging.decode import decode
from tasks.imaging.pixels import Mask, Rgb
from tasks.imaging.segmenter import load_segmenter
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell
from tests.imaging.pictures import encoded
from tests.measures import mask_overlap

PALE = ("white", "grey", "beige")
OFTEN = ("white", "grey", "black", "beige")  # the colours of every second product
PLAIN = sorted(name for name in SCENES if name.endswith("_studio"))
PLACES = sorted(set(SCENES) - set(PLAIN))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--photos", type=int, default=150)
    parser.add_argument("--seed", type=int, default=123, help="of the products, their light and their poses")
    parser.add_argument("--side", type=int, default=384, help="pixels of a photograph")
    parser.add_argument("--segmenter", type=Path, help="a network in an ONNX file")
    parser.add_argument("--mean", type=float, nargs=3, default=SegmenterConfig.model_fields["mean"].default)
    parser.add_argument("--std", type=float, nargs=3, default=SegmenterConfig.model_fields["std"].default)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, "cut-out", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each kind of surroundings and each way to cut out."""
    torch.set_num_threads(1)
    ways = ways_of(options)
    found: dict[str, list[list[float]]] = {}
    seconds = dict.fromkeys(ways, 0.0)
    for kind, rgb, mask in photographs(options.photos, options.seed, options.side):
        overlaps = []
        for name, way in ways.items():
            began = time.process_time()
            computed = way(rgb)
            seconds[name] += time.process_time() - began
            overlaps.append(mask_overlap(np.rint(computed), np.rint(mask)))
        found.setdefault(kind, []).append(overlaps)
    about = occasion(torch.device("cpu")) | {"photos": options.photos, "seed": options.seed, "side": options.side}
    if options.segmenter:
        about["segmenter"] = f"{options.segmenter.name}, sha256 {bytes_id(options.segmenter.read_bytes())[:16]}"
    rows = [row for kind, overlaps in sorted(found.items()) for row in _rows(kind, list(ways), np.array(overlaps))]
    return about | {"seconds_each": {name: one / options.photos for name, one in seconds.items()}, "rows": rows}


def ways_of(options: argparse.Namespace) -> dict[str, Callable[[Rgb], Mask]]:
    """What is compared, by name."""

    def colours_alone(rgb: Rgb) -> Mask:
        with patch("tasks.imaging.cut_out.outline_of", lambda rgb: None):
            return cut_out(rgb)

    ways: dict[str, Callable[[Rgb], Mask]] = {"cut_out": cut_out, "colours alone": colours_alone}
    if options.segmenter:
        network = load_segmenter(str(options.segmenter), tuple(options.mean), tuple(options.std))
        ways |= {"with a network": lambda rgb: cut_out(rgb, network), "network alone": network}
    return ways


def photographs(count: int, seed: int, side: int) -> Iterator[tuple[str, Rgb, Mask]]:
    """Kind of surroundings, photograph and exact mask."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        spec = random_product(rng, colour=None if number % 2 else str(rng.choice(OFTEN)))
        scene = str(rng.choice(PLAIN if number % 3 else PLACES))
        taken = shoot(spec, SCENES[scene], seed * 1000 + number, side).photograph
        pale = "pale product, " if spec.colour in PALE else "product, "
        file = encoded(Image.fromarray(taken.image), "JPEG", quality=80)
        yield pale + ("backdrop" if scene in PLAIN else "scene"), decode(file, 1 << 30).rgb, taken.mask


def _rows(kind: str, ways: list[str], overlaps: Any) -> Iterator[dict[str, Any]]:
    for name, values in zip(ways, overlaps.T, strict=True):
        row: dict[str, Any] = {"what": kind, "photos": len(values), "by": name}
        row |= {"mean": float(values.mean()), "median": float(np.median(values))}
        yield row | {"below 0.8": int((values < 0.8).sum())}


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    seconds = ", ".join(f"{name} {one:.2f}" for name, one in report["seconds_each"].items())
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: overlap of computed and exact masks, "
        f"{report['photos']} photographs of {report['side']} pixels, seed {report['seed']}; processor seconds each: "
        f"{seconds}. `make bench-cut-out`"
    )
    network = [f"The network: {report['segmenter']}."] if "segmenter" in report else []
    return "\n".join([about, *network, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
