"""How many SKUs an hour this device trains: cohorts of several sizes beside one SKU at a time.

    python -m tests.bench.bench_train                         # the demo model, or a tiny one where it is not there yet
    python -m tests.bench.bench_train --model FOLDER --prior images --script train_dreambooth_lora.py

Prints a table, and writes the same as `<date>-train-<device>-<precision>-<prior>-<commit>.json` and `.md` into
`tests/bench/results/`. A cohort's seconds per SKU are those of one step divided by its SKUs, times the recipe's steps;
start-up (loading and encoding, the first steps, compiling) is counted apart. All rows have the same photos, rank,
resolution, precision and prior.
"""

import argparse
import logging
import os
import re
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from configs.schema import TrainingConfig
from tasks.engine.base_model import BaseModel, load_base
from tasks.engine.cohort import Cohort
from tasks.engine.rendering import RenderRequest, RenderSettings, render
from tasks.engine.training import TrainingJob, TrainingPhoto
from tests.bench.baselines import Timing, diffusers_script, plain_loop
from tests.bench.device import commit, device_name, matmul_peak, memory_now, reset_memory, synchronize
from tests.bench.tables import as_markdown, keep, say
from tests.engine.material import photo, quiet
from tests.models.tiny import build_tiny_sd

DEMO = Path(__file__).parents[2] / "infra" / "demo" / "model"
RESULTS = Path(__file__).parent / "results"
WARM = 2  # steps before the clock starts


@dataclass(frozen=True)
class Row:
    """One line of the table. `times` is its SKUs an hour over the first line's, `share` the achieved rate over the
    device's measured matrix-product peak, and `processor_seconds` are those of one SKU on the host's processor."""

    name: str
    skus: int
    skus_per_hour: float
    times: float
    seconds_per_sku: float
    processor_seconds: float
    step_seconds: float
    startup_seconds: float
    tflops: float
    share: float
    memory_gb: float


class Clock:
    """A progress callback that reads the clock after the warm steps and after the last, and watches memory."""

    def __init__(self, device: torch.device, steps: int) -> None:
        self.device, self.steps, self.count, self.memory = device, steps, 0, 0.0
        self.ready = self.end = self.used = self.processor = 0.0

    def __call__(self, done: int, total: int) -> None:
        self.count += 1
        self.memory = max(self.memory, memory_now(self.device))
        if self.count in (WARM, WARM + self.steps):
            synchronize(self.device)
            self.ready, self.end = self.end, time.perf_counter()
            self.used, self.processor = self.processor, time.process_time()


def main() -> None:
    """Measures, prints, writes."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or (DEMO if DEMO.is_dir() else build_tiny_sd(Path(folder) / "tiny"))
        base = load_base(model, options.precision, options.device)
        report = measure(base, model, options)
    _write(report, options.results)


def measure(base: BaseModel, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All rows, with what they were measured on."""
    prior = {"none": {"prior_weight": 0.0}, "images": {"prior_images": options.class_images}, "prediction": {}}
    how = TrainingConfig(rank=options.rank, alpha=options.rank, **prior[options.prior])
    resolution = options.resolution or base.resolution
    jobs = [_job(base, number, resolution, how) for number in range(max(options.cohorts))]
    peak, flops = matmul_peak(base.device, base.dtype), step_flops(base, jobs[0], how, resolution)
    rows: list[Row] = []

    def add(name: str, skus: int, timing: Timing) -> None:
        per_sku = timing.step / skus * options.recipe_steps
        rate = flops * skus / timing.step / 1e12
        busy = timing.processor / skus * options.recipe_steps
        times = 3600 / per_sku / rows[0].skus_per_hour if rows else 1.0
        spent = per_sku, busy, timing.step, timing.startup
        rows.append(Row(name, skus, 3600 / per_sku, times, *spent, rate, rate / peak, timing.memory))
        say(_line(rows[-1]))

    say(
        f"{device_name(base.device)}, {options.precision}: matrix products {peak:.3f} TFLOP/s; {model}, {resolution} px"
    )
    say(f"{'':26}SKUs  SKUs/h times   s/SKU cpu s/SKU  s/step start-up  TFLOP/s share  GB")
    if options.script:
        timing = diffusers_script(options.script, model, jobs[0], how, resolution, options.steps, str(base.dtype)[6:])
        add("diffusers' script", 1, timing)
    for compiled in (False, True) if options.compile else (False,):
        name = "compiled" if compiled else "eager"
        add(f"plain loop, {name}", 1, plain_loop(base, jobs[0], how, resolution, options.steps, WARM, compiled))
        for size in options.cohorts:
            try:
                timing = cohort(base, jobs[:size], how, resolution, options.steps, compiled, options.lean)
            except torch.OutOfMemoryError:
                say(f"{f'cohort, {name}':26}{size:4}  does not fit; --lean computes activations twice")
                break
            add(f"cohort, {name}", size, timing)
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "device": device_name(base.device),
        "torch": torch.__version__,
        "model": {"family": base.family, "unet_parameters": sum(p.numel() for p in base.unet.parameters())},
        "precision": str(base.dtype)[6:],
        "prior": options.prior,
        "resolution": resolution,
        "measured_steps": options.steps,
        "recipe_steps": options.recipe_steps,
        "recipe": how.model_dump(mode="json"),
        "load_average": os.getloadavg()[0],
        "lean": options.lean,
        "matmul_tflops": peak,
        "step_tflop_per_sku": flops / 1e12,
    }
    return about | {"rows": [asdict(row) for row in rows]}


def cohort(
    base: BaseModel,
    jobs: list[TrainingJob],
    how: TrainingConfig,
    resolution: int,
    steps: int,
    compiled: bool,
    lean: bool,
) -> Timing:
    """One cohort of all `jobs`. Raises torch.OutOfMemoryError where `train_cohort` would halve it."""
    reset_memory(base.device)
    torch.compiler.reset()  # each size has graphs of its own, and torch keeps few
    unet = torch.compile(base.unet, dynamic=False) if compiled else None
    clock, started = Clock(base.device, steps), time.perf_counter()
    jobs = [replace(job, steps=WARM + steps) for job in jobs]
    Cohort(base, jobs, how, resolution, len(jobs), clock, {}, unet, lean=lean).run()
    step = (clock.end - clock.ready) / steps
    return Timing(clock.ready - started - WARM * step, step, (clock.processor - clock.used) / steps, clock.memory)


def step_flops(base: BaseModel, job: TrainingJob, how: TrainingConfig, resolution: int) -> float:
    """Floating-point operations of one SKU's step, forward and backward, as torch counts them."""
    counter = FlopCounterMode(display=False)
    alone = Cohort(base, [replace(job, steps=1)], how, resolution, 1, quiet, {})
    with alone.bank:
        tenant = alone.enter(job, 0)
        with counter:
            alone.objective.losses([tenant]).sum().backward()
    return float(counter.get_total_flops())


def _job(base: BaseModel, number: int, resolution: int, how: TrainingConfig) -> TrainingJob:
    photos: tuple[TrainingPhoto, ...] = tuple(photo(4 * number + n) for n in range(4))
    drawn = _class_images(base, how.prior_images, resolution) if how.prior_images else ()
    prompts = f"a photo of a sks{number} mug", "a photo of a mug"
    return TrainingJob(f"id-{number}", f"SKU-{number}", *prompts, photos, 1, number, drawn)


def _class_images(base: BaseModel, count: int, resolution: int) -> tuple:
    """What the base model draws for the class prompt, in few steps: here only their number and size matter."""
    requests = [RenderRequest("a photo of a mug", "", seed) for seed in range(count)]
    images = render(base, requests, RenderSettings(2, 1.0, "checkpoint", resolution, resolution), {}, 4, quiet)
    return tuple(image for image in images if image is not None)


def _line(row: Row) -> str:
    return (
        f"{row.name:26}{row.skus:4}{row.skus_per_hour:8.1f}{row.times:6.2f}{row.seconds_per_sku:8.1f}{row.processor_seconds:10.1f}"
        f"{row.step_seconds:8.3f}{row.startup_seconds:9.1f}{row.tflops:9.3f}{row.share:6.0%}{row.memory_gb:6.2f}"
    )


def _write(report: dict[str, Any], folder: Path) -> None:
    words = re.findall(r"[a-z0-9]+", f"{report['device']}, {report['precision']}, {report['prior']}".lower())
    keep(report, f"train-{'-'.join(words)}", markdown(report), folder)


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    line = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}, {report['precision']}, prior "
        f"{report['prior']}, {report['resolution']} pixels, {report['measured_steps']} steps timed, a SKU of "
        f"{report['recipe_steps']} steps; load {report['load_average']:.1f}. `python -m tests.bench.bench_train`; its "
        "docstring says how."
    )
    return "\n".join([line, "", *as_markdown(report["rows"])]) + "\n"


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a diffusers pipeline folder")
    parser.add_argument("--cohorts", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--recipe-steps", type=int, default=500, help="steps of the SKU that is reckoned with")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=0)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prior", choices=("prediction", "images", "none"), default="prediction")
    parser.add_argument("--class-images", type=int, default=8)
    parser.add_argument("--compile", action="store_true", help="measure torch.compile too")
    parser.add_argument("--lean", action="store_true", help="compute activations twice rather than keep them")
    parser.add_argument("--script", type=Path, help="diffusers' train_dreambooth_lora.py or its SDXL sibling")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.script and options.prior == "prediction":  # would give the script less to do than the cohort
        parser.error("diffusers' script has no such prior: add --prior images or --prior none")
    return options


if __name__ == "__main__":
    main()
