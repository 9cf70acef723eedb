"""How much of a large picture comes back from a small one: by Lanczos scaling, and by a network that enlarges.

    make bench-upscale BENCH="--upscaler realesrgan-x4plus.onnx"
    make bench-upscale BENCH="--upscaler realesrgan-x4plus.onnx --pictures FOLDER"

Each picture is shrunk by the network's factor and enlarged again, and judged beside what it was: `psnr` in decibels,
`gmsd` (gradient magnitude similarity deviation, Xue et al. 2014, arXiv:1308.3052; 0 is the same), and `detail`, the
strength of its Laplacian as a share of the true one: below 1 it is softer than it was, above 1 sharper. The pictures
are the demo studio's, or those of a folder, cropped to a square in their middle.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from catalog_schemas.identity import bytes_id
from infra.demo.products import random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from tasks.imaging.decode import decode
from tasks.imaging.pixels import Floats, Rgb, scale_rgb
from tasks.imaging.upscaler import Upscaler
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell

GMSD_CONSTANT = 170.0  # of the paper, for grey values of 0 to 255


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--upscaler", type=Path, required=True, help="a network in an ONNX file")
    parser.add_argument("--pictures", type=Path, help="a folder of large pictures; none: the demo studio's")
    parser.add_argument("--count", type=int, default=12, help="pictures at most")
    parser.add_argument("--seed", type=int, default=123, help="of the studio's products, light and poses")
    parser.add_argument("--side", type=int, default=1024, help="pixels of a large picture")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, "upscale", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each way to enlarge, the mean of all pictures."""
    upscaler = Upscaler(str(options.upscaler))
    side = options.side - options.side % upscaler.factor
    ways: dict[str, Callable[[Rgb], Rgb]] = {
        "Lanczos": partial(scale_rgb, width=side, height=side),
        "the network": partial(upscaler, side_maximum=side),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for true in pictures(options, side):
        small = scale_rgb(true, side // upscaler.factor, side // upscaler.factor)
        for name, way in ways.items():
            began = time.process_time()
            large = way(small)
            found[name].append({"seconds": time.process_time() - began} | likeness(true, large))
    about = occasion(torch.device("cpu")) | {"pictures": len(found["Lanczos"]), "side": side, "factor": upscaler.factor}
    about["of"] = options.pictures.name if options.pictures else f"the demo studio, seed {options.seed}"
    about["upscaler"] = f"{options.upscaler.name}, sha256 {bytes_id(options.upscaler.read_bytes())[:16]}"
    rows = [
        {"by": name} | {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        for name, each in found.items()
    ]
    return about | {"rows": rows}


def pictures(options: argparse.Namespace, side: int) -> Iterator[Rgb]:
    """Large ones, `side` pixels square."""
    if options.pictures:
        files = sorted(one for one in options.pictures.rglob("*") if one.suffix.lower() in (".jpg", ".jpeg", ".png"))
        for rgb in (decode(file.read_bytes(), 1 << 30).rgb for file in files[: options.count]):
            least = min(rgb.shape[:2])
            top, left = (rgb.shape[0] - least) // 2, (rgb.shape[1] - least) // 2
            yield scale_rgb(np.ascontiguousarray(rgb[top : top + least, left : left + least]), side, side)
        return
    rng = np.random.default_rng(options.seed)
    for number in range(options.count):
        scene = SCENES[str(rng.choice(sorted(SCENES)))]
        yield shoot(random_product(rng), scene, options.seed * 1000 + number, side).photograph.image


def likeness(true: Rgb, other: Rgb) -> dict[str, float]:
    """See the head of this file."""
    error = float(np.mean((true.astype(np.float32) - other) ** 2))
    one, two = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) for rgb in (true, other))
    gradients = [_gradient(cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)) for grey in (one, two)]
    product = 2 * gradients[0] * gradients[1] + GMSD_CONSTANT
    similar = product / (gradients[0] ** 2 + gradients[1] ** 2 + GMSD_CONSTANT)
    detail = float(cv2.Laplacian(two, cv2.CV_32F).std() / max(cv2.Laplacian(one, cv2.CV_32F).std(), 1e-6))
    return {"psnr": 10 * float(np.log10(255**2 / max(error, 1e-6))), "gmsd": float(similar.std()), "detail": detail}


def _gradient(grey: Floats) -> Floats:
    """Prewitt's, as the paper has it."""
    kernel = np.array([[1, 0, -1]] * 3, np.float32) / 3
    return np.hypot(cv2.filter2D(grey, -1, kernel), cv2.filter2D(grey, -1, kernel.T))


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: {report['pictures']} pictures of "
        f"{report['of']}, {report['side']} pixels, shrunk by {report['factor']} and enlarged again; processor seconds "
        f"each. The network: {report['upscaler']}. `make bench-upscale`"
    )
    return "\n".join([about, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
