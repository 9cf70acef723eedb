"""How many SKUs an hour this device trains: cohorts of several sizes beside one SKU at a time.

    python -m tests.bench.bench_train                         # the demo model, or a tiny one where it is not there yet
    python -m tests.bench.bench_train --model FOLDER --prior images --script train_dreambooth_lora.py
    python -m tests.bench.bench_train --architecture sdxl --cohorts 1,2,4 --compiled 4 --profile 4

Prints a table, and writes the same as `<date>-train-<device>-<precision>-<prior>-<commit>.json` and `.md` into
`tests/bench/results/`, anew after each row, so that a run that is cut off loses no row. A cohort's seconds per SKU are
those of one step divided by its SKUs, times the recipe's steps; start-up (loading and encoding, the first steps,
compiling) is counted apart. All rows have the same photos, rank, resolution, precision and prior.
"""

import argparse
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel, load_base, pick_device
from tasks.engine.cohort import Cohort
from tasks.engine.crops import TrainingPhoto
from tasks.engine.jobs import TrainingJob
from tasks.engine.memory import step_costs
from tasks.engine.training import recomputing
from tests.bench.architectures import PARAMETERS, build
from tests.bench.baselines import Timing, diffusers_script, plain_loop
from tests.bench.device import matmul_peak, memory_now, occasion, reset_memory, synchronize
from tests.bench.kernels import lines, profiler, summary
from tests.bench.tables import RESULTS, as_markdown, keep, say
from tests.bench.traffic import Traffic
from tests.engine.material import photo
from tests.models.tiny import build_tiny_sd

DEMO = Path(__file__).parents[2] / "infra" / "demo" / "model"
WARM = 2  # steps before the clock starts
PROFILED = 3  # steps that are recorded, where asked for


@dataclass(frozen=True)
class Row:
    """One line of the table. `times` is its SKUs an hour over the first line's, `share` the achieved rate over the
    device's measured matrix-product peak, and `processor_seconds` are those of one SKU on the host's processor. On CUDA
    `predicted_gb` is what the engine would have expected of `memory_gb`, the most in use."""

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
    predicted_gb: float | None = None


class Clock:
    """Called after each step: reads the clock after the warm steps and after the last, and watches memory.

    With `profiled`, so many further steps, after one that is left out, are recorded: `profile` is their summary.
    """

    def __init__(self, device: torch.device, steps: int, profiled: int = 0) -> None:
        self.device, self.steps, self.profiled, self.count, self.memory = device, steps, profiled, 0, 0.0
        self.ready = self.end = self.used = self.processor = 0.0
        self.recorder = profiler(device) if profiled else None
        self.profile: dict[str, Any] | None = None

    def __call__(self, cohort: Cohort) -> None:
        self.count += 1
        if self.count <= WARM + self.steps:
            self.memory = max(self.memory, memory_now(self.device))
        if self.count in (WARM, WARM + self.steps):
            synchronize(self.device)
            self.ready, self.end = self.end, time.perf_counter()
            self.used, self.processor = self.processor, time.process_time()
        try:
            self._record(self.count - WARM - self.steps - 1)
        except RuntimeError as error:  # a driver may forbid it, which must not cost the other rows
            say(f"no profile: {error}")
            self.recorder = None

    def _record(self, step: int) -> None:
        if self.recorder and step in (0, self.profiled):
            synchronize(self.device)
        if self.recorder and step == 0:
            self.recorder.start()
        if self.recorder and step == self.profiled:
            self.recorder.stop()
            self.profile, self.recorder = summary(self.recorder, self.profiled), None


def main() -> None:
    """Measures, prints, writes."""
    options = _options()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(options, Path(folder))
        base = load_base(model, options.precision, options.device)
        if options.layout:
            layout = getattr(torch, f"{options.layout}_format" if options.layout == "contiguous" else options.layout)
            for part in (base.unet, base.vae):
                part.to(memory_format=layout)
        report = measure(base, model, options, lambda report: _write(report, options.results, silent=True))
    _write(report, options.results)


def _model(options: argparse.Namespace, folder: Path) -> Path:
    if not options.architecture:
        return options.model or (DEMO if DEMO.is_dir() else build_tiny_sd(folder / "tiny"))
    where = options.model or folder / options.architecture
    started = time.perf_counter()
    if not (where / "model_index.json").is_file():
        build(options.architecture, where, pick_device(options.device))
        say(f"built {options.architecture} with random weights in {time.perf_counter() - started:.1f} s")
    return where


def measure(
    base: BaseModel,
    model: Path,
    options: argparse.Namespace,
    save: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """All rows, with what they were measured on; `save` is called after each."""
    prior = {"none": {"prior_weight": 0.0}, "images": {"prior_images": options.class_images}, "prediction": {}}
    how = TrainingConfig(rank=options.rank, alpha=options.rank, crops=options.crops, **prior[options.prior])
    resolution, steps = options.resolution or base.resolution, options.steps
    largest = max(size for _, sizes in _kinds(options) for size in [1, *sizes])
    jobs = [_job(number, resolution, how) for number in range(largest)]
    peak, flops = matmul_peak(base.device, base.dtype), step_flops(base, jobs[0], how, resolution)
    report = _about(base, how, resolution, options) | {"matmul_tflops": peak, "step_tflop_per_sku": flops / 1e12}
    report |= {"rows": [], "profiles": [], "failed": []}
    say(f"{report['device']}, {report['precision']}: matrix products {peak:.3f} TFLOP/s; {resolution} px")
    say(f"{'':26}SKUs  SKUs/h times   s/SKU cpu s/SKU  s/step start-up  TFLOP/s share  GB predicted")

    def add(name: str, skus: int, timing: Timing, predicted: float | None = None) -> None:
        per_sku = timing.step / skus * options.recipe_steps
        rate = flops * skus / timing.step / 1e12
        busy = timing.processor / skus * options.recipe_steps
        times = 3600 / per_sku / report["rows"][0]["skus_per_hour"] if report["rows"] else 1.0
        spent = per_sku, busy, timing.step, timing.startup
        row = Row(name, skus, 3600 / per_sku, times, *spent, rate, rate / peak, timing.memory, predicted)
        report["rows"].append(asdict(row))
        say(_line(row))
        save(report)

    def attempt(name: str, skus: int, timed: Callable[[], Timing], predicted: float | None = None) -> bool:
        """A row, or the reason why there is none, which must not cost the others."""
        try:
            add(name, skus, timed(), predicted)
            return True
        except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:  # memory that is short is the first
            report["failed"].append({"name": name, "skus": skus, "error": str(error)[-1000:]})
            say(f"{name:26}{skus:4}  {type(error).__name__}: {str(error)[-1000:]}")
            return False

    def timed_cohort(kind: str, size: int) -> Timing:
        clock, timing = cohort(base, jobs[:size], how, resolution, options, kind)
        if clock.profile is not None:
            report["profiles"].append({"name": f"cohort, {kind}", "skus": size, **clock.profile})
        return timing

    if (script := options.script) is not None:
        name = "diffusers' script"
        attempt(name, 1, lambda: diffusers_script(script, model, jobs[0], how, resolution, steps, base))
    predict = _prediction(base, jobs, how, resolution) if base.device.type == "cuda" and len(jobs) > 1 else None
    for kind, sizes in _kinds(options):
        if options.plain and sizes and kind != "regional":
            loop = partial(plain_loop, base, jobs[0], how, resolution, steps, WARM, kind == "compiled")
            attempt(f"plain loop, {kind}", 1, loop)
        for size in filter(None, sizes):
            expected = predict(size) if predict else None
            if not attempt(f"cohort, {kind}", size, partial(timed_cohort, kind, size), expected):
                break
    for line in lines(report["profiles"]) if report["profiles"] else ():
        say(line)
    return report


def _kinds(options: argparse.Namespace) -> list[tuple[str, list[int]]]:
    return [("eager", options.cohorts), ("regional", options.regional), ("compiled", options.compiled)]


def _about(base: BaseModel, how: TrainingConfig, resolution: int, options: argparse.Namespace) -> dict[str, Any]:
    """What the rows are measured on."""
    first = next(
        layer for layer in base.unet.modules() if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size[0] > 1
    )
    last = first.weight.is_contiguous(memory_format=torch.channels_last)
    return {
        **occasion(base.device),
        "torch": torch.__version__,
        "architecture": options.architecture or "the model's own",
        "model": {"family": base.family, "unet_parameters": sum(p.numel() for p in base.unet.parameters())},
        "precision": str(base.dtype)[6:],
        "prior": options.prior,
        "resolution": resolution,
        "measured_steps": options.steps,
        "recipe_steps": options.recipe_steps,
        "recipe": how.model_dump(mode="json"),
        "load_average": os.getloadavg()[0],
        "lean": options.lean,
        "layout": "channels_last" if last else "contiguous",
    }


def cohort(
    base: BaseModel,
    jobs: list[TrainingJob],
    how: TrainingConfig,
    resolution: int,
    options: argparse.Namespace,
    kind: str,
) -> tuple[Clock, Timing]:
    """One cohort of all `jobs`: eager, compiled as a whole, or regional, block by block.

    Raises torch.OutOfMemoryError where `train_cohort` would halve it.
    """
    reset_memory(base.device)
    torch.compiler.reset()  # each size has graphs of its own, and torch keeps few
    unet = (
        None if kind == "eager" else by_blocks(base) if kind == "regional" else torch.compile(base.unet, dynamic=False)
    )
    profiled = PROFILED if len(jobs) in options.profile else 0
    clock, started = Clock(base.device, options.steps, profiled), time.perf_counter()
    jobs = [replace(job, steps=WARM + options.steps + (profiled + 1 if profiled else 0)) for job in jobs]
    with recomputing(base) if options.lean else nullcontext():
        Cohort(base, jobs, how, resolution, len(jobs), {}, unet, clock).run()
    step = (clock.end - clock.ready) / options.steps
    startup = clock.ready - started - WARM * step
    return clock, Timing(startup, step, (clock.processor - clock.used) / options.steps, clock.memory)


def by_blocks(base: BaseModel, **options: Any) -> Callable[..., Any]:
    """The UNet with its blocks compiled each for itself: blocks of one shape share their code, so it takes less time.

    The UNet itself stays as it is, since the looks at a SKU's loss have other shapes.
    """
    torch._dynamo.config.recompile_limit = 64  # shapes and kinds of blocks together
    blocks = [m for m in base.unet.modules() if type(m).__name__ in ("BasicTransformerBlock", "ResnetBlock2D")]
    compiled = [torch.compile(block._call_impl, dynamic=False, **options) for block in blocks]

    def unet(*arguments: Any, **named: Any) -> Any:
        for block, call in zip(blocks, compiled, strict=True):
            block._compiled_call_impl = call
        try:
            return base.unet(*arguments, **named)
        finally:
            for block in blocks:
                block._compiled_call_impl = None

    return unet


def _prediction(
    base: BaseModel, jobs: list[TrainingJob], how: TrainingConfig, resolution: int
) -> Callable[[int], float]:
    """GB that a cohort of some size takes with the model, by the rule of `fitting_slots`."""
    model = torch.cuda.memory_allocated(base.device)
    shared, each = step_costs(base, jobs, how, resolution)
    return lambda size: (model + shared + size * each) / 1e9


def step_flops(base: BaseModel, job: TrainingJob, how: TrainingConfig, resolution: int) -> float:
    """Floating-point operations of one SKU's step, forward and backward, as torch counts them."""
    counter = Traffic(peak=1, rate=1)
    alone = Cohort(base, [replace(job, steps=1)], how, resolution, 1, {})
    with alone.bank:
        tenant = alone.enter(job, 0)
        with counter:
            alone.objective.losses([tenant]).sum().backward()
    return float(counter.flops.total())


def _job(number: int, resolution: int, how: TrainingConfig) -> TrainingJob:
    """A SKU of four photos; of its class images only number and size matter, so they are noise."""
    photos: tuple[TrainingPhoto, ...] = tuple(photo(4 * number + n) for n in range(4))
    noise, shape = np.random.default_rng(0), (resolution, resolution, 3)
    drawn = tuple(noise.integers(0, 256, shape, np.uint8) for _ in range(how.prior_images or 0))
    prompts = f"a photo of a sks{number} mug", "a photo of a mug"
    return TrainingJob(f"id-{number}", f"SKU-{number}", *prompts, photos, 1, number, drawn)


def _line(row: Row) -> str:
    return (
        f"{row.name:26}{row.skus:4}{row.skus_per_hour:8.1f}{row.times:6.2f}{row.seconds_per_sku:8.1f}{row.processor_seconds:10.1f}"
        f"{row.step_seconds:8.3f}{row.startup_seconds:9.1f}{row.tflops:9.3f}{row.share:6.0%}{row.memory_gb:6.2f}"
        + (f"{row.predicted_gb:10.2f}" if row.predicted_gb else "")
    )


def _write(report: dict[str, Any], folder: Path, silent: bool = False) -> None:
    kind = [report["device"], report["precision"], report["prior"]]
    if report["architecture"] in PARAMETERS:
        kind.insert(1, report["architecture"])
    words = re.findall(r"[a-z0-9]+", ", ".join(kind).lower())
    keep(report, f"train-{'-'.join(words)}", markdown(report), folder, silent)


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    line = (
        f"Measured {report['date']} at {report['commit']} on {report['device']}, {report['precision']}, prior "
        f"{report['prior']}, {report['resolution']} pixels, {report['measured_steps']} steps timed, a SKU of "
        f"{report['recipe_steps']} steps; load {report['load_average']:.1f}. `python -m tests.bench.bench_train`; its "
        "docstring says how."
    )
    if report["architecture"] in PARAMETERS:
        line += f" The UNet is {report['architecture']}'s, with random weights."
    table = [line, "", *as_markdown(report["rows"])]
    for failure in report["failed"]:
        table += ["", f"{failure['name']}, {failure['skus']} SKUs: {failure['error'].strip().splitlines()[-1]}"]
    if report["profiles"]:
        table += ["", "Milliseconds of one step on the device, by kind of kernel; `idle` is the share without any:", ""]
        table += lines(report["profiles"])
    return "\n".join(table) + "\n"


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a diffusers pipeline folder")
    parser.add_argument(
        "--architecture", choices=sorted(PARAMETERS), help="random weights, written to --model if given"
    )
    parser.add_argument(
        "--cohorts", type=_sizes, default=[1, 2, 4, 8, 16, 32], help='sizes, or "" for none; 0: the plain loop alone'
    )
    parser.add_argument("--compiled", type=_sizes, default=[], help="sizes measured with torch.compile too")
    parser.add_argument("--regional", type=_sizes, default=[], help="the same block by block, which compiles sooner")
    parser.add_argument("--profile", type=_sizes, default=[], help="sizes whose steps are profiled after the clock")
    parser.add_argument("--no-plain", dest="plain", action="store_false", help="leave out the plain loops")
    parser.add_argument("--layout", choices=("contiguous", "channels_last"), help="of the weights; none: the engine's")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--recipe-steps", type=int, default=500, help="steps of the SKU that is reckoned with")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--resolution", type=int, default=0)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prior", choices=("prediction", "images", "none"), default="prediction")
    parser.add_argument("--class-images", type=int, default=8)
    parser.add_argument("--crops", type=int, default=4, help="of each photo: start-up encodes them, a step takes one")
    parser.add_argument("--lean", action="store_true", help="compute activations twice rather than keep them")
    parser.add_argument("--script", type=Path, help="diffusers' train_dreambooth_lora.py or its SDXL sibling")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    if options.script and options.prior == "prediction":  # would give the script less to do than the cohort
        parser.error("diffusers' script has no such prior: add --prior images or --prior none")
    if not any(sizes for _, sizes in _kinds(options)):
        parser.error("nothing to measure: name a size in --cohorts, --regional or --compiled")
    return options


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",") if size]


if __name__ == "__main__":
    main()
