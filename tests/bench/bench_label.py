"""Does the check `label` tell letters from what models draw in their place?

    make bench-label BENCH=FOLDER     of folders, each with the photos of one product

Each photo, `--side` pixels long, is judged as an image: as it is against the product's other photos; and against all of
them after its pixels have moved by 1 to 4 pixels, each as its neighbours, or were put out of focus by 1 or 2 pixels
(the deviation of a Gaussian). Products of which no two photos bear the same letters are told apart: they should have 1.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from tasks.checks.label import Pairs, dice, pairs_in
from tasks.imaging.decode import decode
from tasks.imaging.lettering import lines_in
from tasks.imaging.pixels import Rgb, shrink_rgb
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell
from tests.imaging.pictures import melted

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
BOUND = 0.7  # what docs/checks.md advises


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("photos", type=Path, help="a folder of folders, each with two or more photos of one product")
    parser.add_argument("--side", type=int, default=512, help="pixels of the longer side")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, "label", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each thing done to the photos, its scores apart for products with letters and without."""
    ways: dict[str, Callable[[Rgb], Rgb] | None] = {"another photo": None}
    ways |= {f"melted by {by:g} pixels": partial(melted, by=by) for by in (1.0, 2.0, 3.0, 4.0)}
    ways |= {f"out of focus by {by:g}": partial(cv2.GaussianBlur, ksize=(0, 0), sigmaX=by) for by in (1.0, 2.0)}
    scores: dict[str, dict[bool, list[float]]] = {name: {True: [], False: []} for name in ways}
    photos = [_photos(folder, options.side) for folder in sorted(options.photos.iterdir()) if folder.is_dir()]
    began, counts = time.process_time(), {True: 0, False: 0}
    for of_product in photos:
        read = [_pairs(photo) for photo in of_product]
        lettered = any(one & other for number, one in enumerate(read) for other in read[:number])
        counts[lettered] += 1
        for number, photo in enumerate(of_product):
            for name, way in ways.items():
                others = read if way else [one for place, one in enumerate(read) if place != number]
                own = _pairs(way(photo)) if way else read[number]
                scores[name][lettered].append(max(dice(own, other) for other in others))
    seconds = (time.process_time() - began) / (sum(map(len, photos)) * len(ways))
    about = occasion(torch.device("cpu")) | {"side": options.side, "seconds": seconds}
    about |= {"lettered": counts[True], "plain": counts[False], "photos": sum(map(len, photos))}
    return about | {"rows": [{"image": name} | _row(of) for name, of in scores.items()]}


def _photos(folder: Path, side: int) -> list[Rgb]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    return [shrink_rgb(decode(file.read_bytes(), 1 << 30).rgb, side) for file in files]


def _pairs(rgb: Rgb) -> Pairs:
    return pairs_in(lines_in(rgb))


def _row(scores: dict[bool, list[float]]) -> dict[str, float]:
    row: dict[str, float] = {}
    if scores[True]:
        row = {f"letters, {name}": float(of(scores[True])) for name, of in _SUMMARY.items()}
    if scores[False]:
        row["none, passed"] = float(np.mean([score >= BOUND for score in scores[False]]))
    return row


_SUMMARY: dict[str, Callable[[list[float]], Any]] = {
    "least": min,
    "median": np.median,
    "most": max,
    "passed": lambda scores: np.mean([score >= BOUND for score in scores]),
}


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: {report['photos']} photos of "
        f"{report['lettered']} products with letters and {report['plain']} without, {report['side']} pixels. "
        f"`passed`: the share with {BOUND} or more. {report['seconds']:.2f} processor seconds an image. "
        "`make bench-label`"
    )
    return "\n".join([about, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
