"""How many images an hour a run makes of products whose adapters are trained, and whether the model waits meanwhile.

    make bench-images BENCH="--skus 8 --side 1500"
    make bench-images BENCH="--architecture sd15 --workers 4"      # in its true size with random weights: on a GPU

The demo's photographs are enlarged to `--side` pixels. A first run trains their adapters, one step each; the clock
runs for the others, as `packshot run` does it: plan, draw, compose, check, finish, publish, report. The limit is a
model that never waits: the seconds in which it draws. Without a GPU one thread draws, so that a second core is left
for everything else.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image
from prefect import flow

from configs.preset import load_preset
from configs.schema import RunConfig
from flows.pipeline import run_pipeline
from flows.servers.own_server import begin_server
from infra.demo.catalog import write_demo_catalog
from tasks.engine import rendering
from tasks.engine.base_model import pick_device
from tasks.planning.rows import Selection
from tasks.runtime.context import RunContext, new_run_id
from tasks.runtime.models import find_model
from tests.bench.architectures import PARAMETERS, build
from tests.bench.device import occasion
from tests.bench.tables import as_markdown, command_line, tell

SCENES = ("wooden-table", "white-marble", "kitchen-counter", "garden-grass", "beach-sand", "white-sweep")
TECHNIQUES = ("regenerate", "composite", "packshot")


@dataclass
class Drawn:
    """What the model drew, and the seconds that it took for it."""

    pictures: int = 0
    seconds: float = 0.0


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_line(__doc__)
    parser.add_argument("--architecture", choices=["", *PARAMETERS], default="", help="none: the demo's model")
    parser.add_argument("--skus", type=int, default=8)
    parser.add_argument("--side", type=int, default=1500, help="pixels of a photograph")
    parser.add_argument("--images", type=int, default=10, help="images of each SKU")
    parser.add_argument("--workers", type=int, default=2, help="chunks worked on at once")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and keeps the table."""
    options = parse(arguments)
    report = measure(options)
    tell(report, f"images-{report['model']}", markdown(report), options.results)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The report: one row for each technique alone, and one for all of them together."""
    device = pick_device("auto")
    if device.type == "cpu":
        torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": "", "PREFECT_LOGGING_LEVEL": "ERROR"}
        begin_server()()
        catalog = write_demo_catalog(folder / "catalog", options.skus)
        for photo in (folder / "catalog").glob("*/*/*"):
            Image.open(photo).resize((options.side, options.side), Image.Resampling.LANCZOS).save(photo, quality=95)
        config = _config(options, folder, device)
        run(_context(catalog, folder / "store", config, ("regenerate",), 1))
        runs = enumerate([*((technique,) for technique in TECHNIQUES), TECHNIQUES], start=1)
        rows = [_row(options, catalog, folder, _seeded(config, 1000 * n), techniques) for n, techniques in runs]
    about = occasion(device) | {"cores": os.cpu_count(), "model": options.architecture or "demo"}
    return about | {"skus": options.skus, "side": options.side, "workers": options.workers, "rows": rows}


def _seeded(config: RunConfig, seed: int) -> RunConfig:
    """Other seeds are other images, of which the store holds none."""
    return config.model_copy(update={"generation": config.generation.model_copy(update={"seed": seed})})


def _config(options: argparse.Namespace, folder: Path, device: torch.device) -> RunConfig:
    config = load_preset(options.architecture or "demo")
    training = config.training.model_copy(update={"steps_minimum": 1, "steps_maximum": 1})
    checks = tuple(check.model_copy(update={"minimum": None, "maximum": None}) for check in config.checks)
    compute = config.compute.model_copy(update={"workers": options.workers})
    changes: dict[str, Any] = {"training": training, "checks": checks, "compute": compute}
    if options.architecture:
        built = build(options.architecture, folder / "model", device)
        changes["model"] = config.model.model_copy(update={"source": str(built), "revision": ""})
    return config.model_copy(update=changes)


def _context(catalog: Path, store: Path, config: RunConfig, techniques: tuple[str, ...], images: int) -> RunContext:
    update = {"techniques": techniques, "scenes": SCENES, "exclude": (), "limit_per_sku": images, "images": 10}
    config = config.model_copy(update={"variants": config.variants.model_copy(update=update)})
    now = datetime.now(UTC)
    return RunContext(new_run_id(now), str(catalog), str(store), config, find_model(config.model), now)


def run(context: RunContext) -> int:
    """A run in this process; how many images it published."""
    night = flow(run_pipeline, name="bench", persist_result=False, validate_parameters=False)
    return int(night(context, Selection()).record.images_published)


def _row(
    options: argparse.Namespace, catalog: Path, folder: Path, config: RunConfig, techniques: tuple[str, ...]
) -> dict[str, Any]:
    """A run of these techniques."""
    context = _context(catalog, folder / "store", config, techniques, options.images)
    with _watched() as drawn:
        began, processor = time.perf_counter(), time.process_time()
        images = run(context)
        seconds, processor = time.perf_counter() - began, time.process_time() - processor
    return {
        "techniques": " + ".join(techniques),
        "images": images,
        "images an hour": images / seconds * 3600,
        "seconds": seconds,
        "drawn by the model": drawn.pictures,
        "seconds it drew": drawn.seconds,
        "share": drawn.seconds / seconds,
        "processor seconds an image": processor / max(1, images),
    }


@contextmanager
def _watched() -> Iterator[Drawn]:
    """Counts what the model draws; one batch at a time has it, so that no two are counted at once."""
    drawn, draw = Drawn(), rendering.draw_batch

    def counted(*arguments: Any) -> Any:
        began = time.perf_counter()
        made = draw(*arguments)
        drawn.seconds += time.perf_counter() - began
        drawn.pictures += len(made)
        return made

    with patch.object(rendering, "draw_batch", counted):
        yield drawn


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    about = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}, {report['cores']} cores: "
        f"{report['skus']} SKUs, photographs of {report['side']} pixels, {report['workers']} chunks at once, "
        f"model {report['model']}. "
        "Adapters were trained before. `share` is that of the time in which the model draws. `make bench-images`"
    )
    return "\n".join([about, "", *as_markdown(report["rows"])]) + "\n"


if __name__ == "__main__":
    main()
