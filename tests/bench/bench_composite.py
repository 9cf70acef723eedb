"""How near composites come to photographs of the product in the scene itself, which the demo studio takes.

    make bench-composite BENCH="--photos 126 --seed 57"

Each product is photographed in a scene, in a white studio with the light from the same side, and the scene without it,
by one camera. The composite of the last two is judged by the first: the mean absolute error, in levels of 255, of the
ground around the product's foot and of the product, beside that of the product pasted as it is. `moved` is how far the
product's colours are from the studio photograph's, in CIEDE2000: of half of its pixels, and of all but a twentieth.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch

from infra.demo.products import build, classes, random_product
from infra.demo.renderer import photograph
from infra.demo.scenes import SCENES, set_up
from infra.demo.specs import ProductSpec
from infra.demo.studio import random_pose
from tasks.imaging.compose import Placement, place
from tasks.imaging.pixels import Bools, Mask, Rgb, box_of
from tasks.imaging.rim import free_rim
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell
from tests.measures import pixel_colour_difference

LEVEL = sorted(name for name, scene in SCENES.items() if scene.props != "podium")
DARK = 100  # levels, of a scene's mean
FOOT, ABOVE, BELOW = 0.12, 0.45, 0.15  # of the product's side: the ground that is judged around its foot


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A product in a scene, the scene alone, and the product in the studio; `mask` shows it in all three."""

    truth: Rgb
    scene: Rgb
    photo: Rgb
    mask: Mask


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--photos", type=int, default=126)
    parser.add_argument("--seed", type=int, default=57, help="of the products, their light and their poses")
    parser.add_argument("--side", type=int, default=192, help="pixels of a photograph")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, "composite", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: a row for each kind of scene."""
    torch.set_num_threads(1)
    rng, seconds = np.random.default_rng(options.seed), 0.0
    found: dict[str, list[dict[str, float]]] = {}
    for number in range(options.photos):
        name = LEVEL[number % len(LEVEL)]
        case = taken(random_product(rng), name, options.seed * 1000 + number, options.side)
        began = time.process_time()
        composite, mask = composed(case)
        seconds += time.process_time() - began
        kind = "studio" if name.endswith("_studio") else "scene"
        kind = f"{'dark' if case.scene.mean() < DARK else 'light'} {kind}"
        found.setdefault(kind, []).append(judged(case, composite, mask))
    about = occasion(torch.device("cpu")) | {"photos": options.photos, "seed": options.seed, "side": options.side}
    return about | {"seconds_each": seconds / options.photos, "rows": list(_rows(found))}


def taken(spec: ProductSpec, name: str, seed: int, side: int) -> Case:
    """The three photographs by one camera."""
    rng = np.random.default_rng([seed, 7])
    stage = set_up(SCENES[name], rng, str(rng.choice(SCENES[name].moods)))
    studio = set_up(SCENES["white_studio"], rng, "studio lighting")
    azimuth = math.copysign(studio.light.azimuth, stage.light.azimuth)
    studio.light = replace(studio.light, azimuth=azimuth)
    parts, pose = build(spec), replace(random_pose(rng, classes()[spec.class_noun].yaw), fill=0.55, shift=(0.0, 0.0))
    truth = photograph(parts, stage, pose, side)
    scene = photograph(parts, stage, pose, side, taken_away=True)
    return Case(truth.image, scene.image, photograph(parts, studio, pose, side).image, truth.mask)


def composed(case: Case) -> tuple[Rgb, Mask]:
    """The composite, its product as large and at the place where it was photographed."""
    rows, columns = box_of(case.mask)
    height, width = case.mask.shape
    share = max((rows.stop - rows.start) / height, (columns.stop - columns.start) / width)
    middle = (columns.start + columns.stop) / 2 / width
    return place(*free_rim(case.photo, case.mask), case.scene, Placement(share, middle, rows.stop / height))


def judged(case: Case, composite: Rgb, mask: Mask) -> dict[str, float]:
    """The errors of the composite, and of the product pasted into the scene."""
    solid = (case.mask > 0.98) & (mask > 0.98)
    pasted, foot = np.where(case.mask[..., None] > 0.5, case.photo, case.scene), _around_the_foot(case.mask)
    errors = {
        f"{what}{how}": float(np.abs(case.truth[where].astype(float) - rgb[where]).mean())
        for what, where in (("foot", foot), ("product", solid))
        for how, rgb in (("", composite), (", pasted", pasted))
    }
    inside = solid.astype(np.float32)
    moved = [pixel_colour_difference(case.photo, composite, inside, share) for share in (0.5, 0.95)]
    return errors | {"moved": moved[0], "moved, 95 %": moved[1]}


def _around_the_foot(mask: Mask) -> Bools:
    rows, columns = box_of(mask)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    reach = 2 * round(FOOT * side / 2) + 1
    solid = (mask > 0.5).astype(np.uint8)
    around = cv2.dilate(solid, np.ones((reach, reach))) - cv2.dilate(solid, np.ones((3, 3)))
    around[: max(0, rows.stop - round(ABOVE * side))] = 0
    around[rows.stop + round(BELOW * side) :] = 0
    return around > 0


def _rows(found: dict[str, list[dict[str, float]]]) -> Iterator[dict[str, Any]]:
    for kind, judgements in sorted(found.items()):
        row: dict[str, Any] = {"in": kind, "photos": len(judgements)}
        yield row | {key: float(np.mean([one[key] for one in judgements])) for key in judgements[0]}


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}: composites against photographs "
        f"of the product in the scene, {report['photos']} of {report['side']} pixels, seed {report['seed']}; processor "
        f"seconds each: {report['seconds_each']:.3f}. `make bench-composite`"
    )
    return "\n".join([about, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
