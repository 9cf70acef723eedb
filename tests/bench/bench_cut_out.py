"""How well products are cut out of photographs whose exact masks are known: the demo studio's, as JPEG files.

    make bench-cut-out BENCH="--photos 150 --seed 123"

Two of three photographs show a product before a plain backdrop, the others in a scene; every second product is white,
grey, beige or black. Each mask is judged by its overlap with the true one (intersection over union), once as
`cut_out` finds it and once by colours alone, without the outline.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from infra.demo.products import random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from tasks.imaging.cut_out import cut_out
from tasks.imaging.decode import decode
from tasks.imaging.measure import mask_overlap
from tasks.imaging.pixels import Mask, Rgb
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, keep, say
from tests.imaging.pictures import encoded

PALE = ("white", "grey", "beige")
OFTEN = ("white", "grey", "black", "beige")  # the colours of every second product
PLAIN = sorted(name for name in SCENES if name.endswith("_studio"))
PLACES = sorted(set(SCENES) - set(PLAIN))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=150)
    parser.add_argument("--seed", type=int, default=123, help="of the products, their light and their poses")
    parser.add_argument("--side", type=int, default=384, help="pixels of a photograph")
    parser.add_argument("--results", type=Path, default=Path("tests/bench/results"))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    text = markdown(report)
    say(text)
    keep(report, "cut-out", text, options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each kind of surroundings."""
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {}
    seconds = 0.0
    for kind, rgb, mask in photographs(options.photos, options.seed, options.side):
        began = time.process_time()
        whole = mask_overlap(np.rint(cut_out(rgb)), np.rint(mask))
        seconds += time.process_time() - began
        with patch("tasks.imaging.cut_out.outline_of", lambda rgb: None):
            found.setdefault(kind, []).append((whole, mask_overlap(np.rint(cut_out(rgb)), np.rint(mask))))
    about = occasion(torch.device("cpu")) | {"photos": options.photos, "seed": options.seed}
    rows = [_row(kind, np.array(overlaps)) for kind, overlaps in sorted(found.items())]
    return about | {"side": options.side, "seconds_each": seconds / options.photos, "rows": rows}


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


def _row(kind: str, overlaps: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"what": kind, "photos": len(overlaps)}
    for column, name in enumerate(("cut_out", "colours alone")):
        values = overlaps[:, column]
        row |= {f"{name}: mean": float(values.mean()), f"{name}: median": float(np.median(values))}
        row |= {f"{name}: below 0.8": int((values < 0.8).sum())}
    return row


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: overlap of computed and exact masks, "
        f"{report['photos']} photographs of {report['side']} pixels, seed {report['seed']}, "
        f"{report['seconds_each']:.2f} processor seconds each. `make bench-cut-out`"
    )
    return "\n".join([about, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
