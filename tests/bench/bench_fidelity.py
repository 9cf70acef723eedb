"""Does an adapter show its product? Tables on the demo model and the demo catalog's SKUs, which it has never seen.

    python -m tests.bench.bench_fidelity                          # all tables, most of an hour of one core
    python -m tests.bench.bench_fidelity --tables likeness,prior --skus 4 --steps 50
    python -m tests.bench.bench_fidelity --tables recipes --skus 4 --images 2   # the recipes that were tried

likeness    each SKU: similarity to its photographs of pictures without and with its LoRA, and of its other photographs
cohort      all SKUs in one batch, and one at a time
checkpoint  the best checkpoint by looks at a held-out photograph, and the last
prior       what becomes of the plain class prompt, without and with prior preservation
methods     LoRA, textual inversion, pivotal tuning, full DreamBooth
techniques  pictures by each technique that draws with the LoRA: from noise, over a composite, along the photo's edges
recipes     what makes a LoRA of this model learn its product best per second

Cosine is the image tower's of the products alone (`tests/bench/likeness.py`), colour their CIEDE2000, named the share
of pictures nearest to their own SKU. Agreement is the cosine of pictures in two scenes with their prompts, scene how
much less it is with prompts of other scenes. Loss is what is left of it on fixed probes. Seconds, for each SKU, are
processor seconds of training on a CPU, else seconds. Writes JSON and Markdown into `tests/bench/results/`.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from infra.demo.catalog import write_demo_catalog
from tasks.engine.base_model import BaseModel, load_base
from tasks.engine.evaluation import Evaluation, Score
from tasks.engine.jobs import TrainingJob
from tasks.engine.similarity import Scorer, load_scorer
from tasks.imaging.pixels import scale_rgb
from tasks.training.evaluation import look_requests
from tests.bench.by_technique import TECHNIQUES, technique_row
from tests.bench.device import occasion
from tests.bench.fidelity import Bench, Drawn, mean_likeness
from tests.bench.likeness import Rgb, ceiling, likeness
from tests.bench.tables import RESULTS, as_markdown, as_text, keep, say

ROOT = Path(__file__).parents[2]
METHODS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "textual inversion": {"method": "textual-inversion", "learning_rate": 2e-2},
    "pivotal": {"method": "pivotal"},
    "full DreamBooth": {"method": "dreambooth", "learning_rate": 3e-4},
}
# What was tried beside the preset. `steps` is a factor on the preset's.
RECIPES: dict[str, dict[str, Any]] = {
    "the preset": {},
    "attention alone": {"targets": ("attention",)},
    "attention alone, rank 8, a quarter of the steps": {
        "targets": ("attention",), "rank": 8, "alpha": 8.0, "steps": 0.25,
    },
    "attention and feed-forward": {"targets": ("attention", "feed_forward")},
    "half the steps": {"steps": 0.5},
    "twice the steps": {"steps": 2.0},
    "twice the rate": {"learning_rate": 2e-3},
    "rank 8": {"rank": 8, "alpha": 8.0},
    "rank 32": {"rank": 32, "alpha": 32.0},
    "six crops": {"crops": 6},
    "six crops in two thirds of the steps": {"crops": 6, "steps": 0.667},
    "prior 0.5": {"prior_weight": 0.5},
    "full DreamBooth, 2e-4": {"method": "dreambooth", "learning_rate": 2e-4},
}  # fmt: skip


def table_likeness(bench: Bench) -> list[dict[str, Any]]:
    """Each SKU, and the mean: no adapter, its LoRA, other photographs of it, and those cut out as drawn ones are."""
    drawn = [bench.pictures({}, bench.name), bench.pictures(bench.loras.files, bench.token)]
    plain, learned = (likeness(bench.scorer, bench.products, [one.plain for one in way]) for way in drawn)
    ways = {"none": plain, "LoRA": learned}
    for name, as_drawn in (("photographs", False), ("photographs, cut out", True)):
        ways[name] = [ceiling(bench.scorer, product, as_drawn) for product in bench.products]
    lines = []
    names = [*(product.sku for product in bench.products), "mean"]
    columns = [[*way, mean_likeness(way)] for way in ways.values()]
    for name, *row in zip(names, *columns, strict=True):
        line: dict[str, Any] = {"name": name}
        for way, one in zip(ways, row, strict=True):
            line |= {f"cosine, {way}": one.cosine, f"colour, {way}": one.colour}
        lines.append(line | {"named, LoRA": row[1].named})
        say("  ".join(f"{key} {as_text(value)}" for key, value in lines[-1].items()))
    if bench.options.sheet:
        _sheet(bench, drawn, bench.options.sheet)
    return lines


def table_cohort(bench: Bench) -> list[dict[str, Any]]:
    """All SKUs in one batch, and one at a time."""
    solo = bench.train(bench.jobs(), {}, slots=1)
    lines = [bench.row("cohort", bench.loras, bench.token), bench.row("one at a time", solo, bench.token)]
    pairs = [(bench.loras.outcomes[sku].weights, one.weights) for sku, one in solo.outcomes.items()]
    lines[1]["largest distance of weights"] = max(
        float((a - b).norm() / b.norm())
        for cohort, own in pairs
        for name, (_, b) in own.modules.items()
        for a in (cohort.modules[name][1],)
        if b.norm() > 0
    )
    return lines


def table_checkpoint(bench: Bench) -> list[dict[str, Any]]:
    """The best of four looks, which score likeness as a run's do, and the last: the same training."""
    jobs = bench.jobs(held_out=1)
    longest = max(job.steps for job in jobs)
    held_out = {one.sku: bench.scorer.images([one.photos[-1].rgb])[0] for one in bench.products}

    def score(job: TrainingJob, images: list[Rgb | None]) -> Score:
        drawn = [image for image in images if image is not None]
        return Score(float((bench.scorer.images(drawn) @ held_out[job.sku]).mean()), 0.0) if drawn else Score(-1.0, 0.0)

    requests = partial(look_requests, bench.recipe.backdrop)
    looks = Evaluation(max(1, longest // 4), requests, bench.settings, score, patience=1000, forfeit=1000.0)
    best = bench.train(jobs, {}, looks=looks)
    last = bench.train(jobs, {})
    lines = [bench.row("best checkpoint", best, bench.token), bench.row("last checkpoint", last, bench.token)]
    for line, way in zip(lines, (best, last), strict=True):
        line["steps"] = float(np.mean([one.steps for one in way.outcomes.values()]))
    return lines


def table_prior(bench: Bench) -> list[dict[str, Any]]:
    """The plain class prompt before and after: how unlike its pictures are, and how far from the base model's."""
    kept = bench.train(bench.jobs(), {"prior_weight": 1.0})
    off = bench.loras if not bench.recipe.prior_weight else bench.train(bench.jobs(), {"prior_weight": 0.0})
    count, lines, first = bench.options.class_images, [], None
    for name, way in (("before", None), ("after, no prior", off), ("after, prior 1", kept)):
        asked = [(one.sku, f"a photo of a {one.noun}") for one in bench.products for _ in range(count)]
        found = bench.scorer.images(bench.draw(asked, way.files if way else {}))
        groups = found.reshape(len(bench.products), count, -1)
        first = groups if first is None else first
        variety = [1 - float(a @ b) for group in groups for a, b in combinations(group, 2)]
        line: dict[str, Any] = {"name": name, "pairwise distance": float(np.mean(variety))}
        line["distance to before"] = float((1 - (groups * first).sum(-1)).mean())
        if way:
            row = bench.row(name, way, bench.token)
            line |= {key: row[key] for key in ("cosine", "colour", "agreement", "scene", "seconds")}
        lines.append(line)
    return lines


def table_methods(bench: Bench) -> list[dict[str, Any]]:
    """What each method gives for what it costs, beside the base model under the noun, and under colour and noun."""
    lines = [bench.row("no adapter", None, lambda one: one.noun)]
    lines.append(bench.row("no adapter, colour in words", None, lambda one: one.words))
    for name, changes in METHODS.items():
        trained = bench.train(bench.jobs(), changes) if changes else bench.loras
        lines.append(bench.row(name, trained, bench.token))
    return lines


def table_techniques(bench: Bench) -> list[dict[str, Any]]:
    """The preset's LoRAs, and pictures of them as a run makes them, by technique."""
    rows = {name: technique_row(bench, name) for name in TECHNIQUES}
    if bench.options.sheet:
        _sheet(bench, [drawn for _, drawn in rows.values()], bench.options.sheet.with_stem("techniques"))
    return [line for line, _ in rows.values()]


def table_recipes(bench: Bench) -> list[dict[str, Any]]:
    """Each recipe of `RECIPES`, or those given by --try, as changes to the preset's."""
    lines = [bench.row("no adapter", None, lambda one: one.noun)]
    recipes = bench.options.recipes or {name: RECIPES[name] for name in bench.options.only or RECIPES}
    for name, changes in recipes.items():
        trained = bench.train(bench.jobs(), changes)
        lines.append(bench.row(name, trained, bench.token) | {"changes": json.dumps(changes)})
        if bench.options.sheet:
            drawn = [bench.pictures({}, lambda one: one.noun), bench.pictures(trained.files, bench.token)]
            _sheet(bench, drawn, bench.options.sheet.with_stem(f"{bench.options.sheet.stem}-{len(lines) - 1}"))
    return lines


TABLES: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "likeness": table_likeness,
    "cohort": table_cohort,
    "checkpoint": table_checkpoint,
    "prior": table_prior,
    "methods": table_methods,
    "techniques": table_techniques,
    "recipes": table_recipes,
}


def main() -> None:
    """Measures, prints, writes."""
    options = parse()
    logging.basicConfig(level=logging.ERROR)
    base, scorer = load_base(options.model, "auto", options.device), load_scorer(options.clip or options.model / "clip")
    with tempfile.TemporaryDirectory() as folder:
        catalog = options.catalog or write_demo_catalog(folder, max(options.skus, 2))
        report = measure(base, scorer, catalog, options)
    write(report, options.results)


def measure(base: BaseModel, scorer: Scorer, catalog: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The tables asked for, with what they were measured on."""
    if options.threads:
        torch.set_num_threads(options.threads)
    bench = Bench(base, scorer, catalog, options)
    about = {
        **occasion(base.device),
        "skus": [product.sku for product in bench.products],
        "steps": [job.steps for job in bench.jobs()],
        "recipe": bench.recipe.model_dump(mode="json", exclude_defaults=True),
        "images": options.images,
        "draw_steps": bench.settings.steps,
        "tables": {},
    }
    for name in options.tables:
        say(f"\n{name}: {(TABLES[name].__doc__ or '').strip()}")
        started = time.perf_counter()
        about["tables"][name] = TABLES[name](bench)
        say(f"{time.perf_counter() - started:.0f} s")
    return about


def write(report: dict[str, Any], folder: Path) -> None:
    """`<date>-fidelity-<tables>-<commit>.json`, and the same as Markdown."""
    some = "all" if len(report["tables"]) >= len(TABLES) - 1 else "-".join(report["tables"])
    keep(report, f"fidelity-{some}", markdown(report), folder)


def markdown(report: dict[str, Any]) -> str:
    """The report's tables for people."""
    steps = sorted(set(report["steps"]))
    lines = [
        f"Measured {report['date']} at {report['commit']} on {report['device']}: {len(report['skus'])} SKUs, "
        f"{steps[0]} to {steps[-1]} steps, {report['images']} pictures of each on white, {report['draw_steps']} "
        "sampling steps. `python -m tests.bench.bench_fidelity`; its docstring says what is measured.",
        "",
        f"The recipe: `{json.dumps(report['recipe'])}`",
    ]
    for name, rows in report["tables"].items():
        lines += ["", f"## {name}", "", (TABLES[name].__doc__ or "").strip(), ""]
        lines += as_markdown(rows)
    return "\n".join(lines) + "\n"


def _sheet(bench: Bench, drawn: list[list[Drawn]], path: Path) -> None:
    """A row for each SKU: a photograph, then pictures without and with its adapter."""
    side, rows = bench.settings.width, []
    for product, *ways in zip(bench.products, *drawn, strict=True):
        pictures = [scale_rgb(product.photos[0].rgb, side, side)]
        for way in ways:
            pictures += [scale_rgb(one, side, side) for one in (*way.plain[:2], *way.scenes)]
        rows.append(np.concatenate(pictures, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(rows)).save(path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=lambda text: text.split(","), default=[n for n in TABLES if n != "recipes"])
    parser.add_argument("--skus", type=int, default=8, help="the first ones of the catalog")
    parser.add_argument("--steps", type=int, default=0, help="of training; 0: the recipe's own")
    parser.add_argument("--images", type=int, default=6, help="pictures of each SKU that likeness is measured on")
    parser.add_argument("--class-images", type=int, default=4, help="pictures of each class prompt")
    parser.add_argument("--draw-steps", type=int, default=0, help="of sampling; 0: the preset's")
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "presets" / "demo.yaml")
    parser.add_argument(
        "--try", type=json.loads, dest="recipes", help="JSON: recipes by name, as changes to the preset's"
    )
    parser.add_argument("--only", type=lambda text: text.split(";"), help="some of the recipes, split by ;")
    parser.add_argument("--model", type=Path, default=ROOT / "infra" / "demo" / "model")
    parser.add_argument("--clip", type=Path, help="a CLIP model folder; by default the model's own")
    parser.add_argument("--catalog", type=Path, help="by default the demo studio's")
    parser.add_argument("--sheet", type=Path, help="a PNG of what table likeness has drawn")
    parser.add_argument("--threads", type=int, default=1, help="0: torch's own choice")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
