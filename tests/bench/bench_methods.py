"""What each way of training gives: likeness, obedience, variety, seconds and bytes for each product, on one model.

    python -m tests.bench.bench_methods --model FOLDER --clip FOLDER --products FOLDER

`--products` has a folder of photos for each product, named by its class noun. The last photo of each is held out:
likeness is the images' CLIP similarity to it, agreement theirs to their prompts. Variety is the mean distance between
the images of the plain class prompt: an adapter that makes every mug its own mug has little. The rows also hold a
cohort against one SKU at a time, the best checkpoint against the last, and the prior against none. Prints a table, and
writes JSON beside the others.
"""

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from configs.schema import TrainingConfig
from tasks.engine.base_model import BaseModel, load_base
from tasks.engine.lora_file import LoraHeader, write_lora
from tasks.engine.rendering import RenderRequest, RenderSettings, render
from tasks.engine.selection import Evaluation, Score
from tasks.engine.similarity import Scorer, load_scorer
from tasks.engine.training import TrainedAdapter, TrainingJob, TrainingPhoto, train_cohort
from tests.bench.device import commit, device_name
from tests.engine.material import quiet

PLACES = ("", ", on a wooden table", ", on green grass in a garden", ", on white marble")
RESULTS = Path(__file__).parent / "results"
WORD = "sks"
WAYS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "LoRA, one at a time": {"slots": 1},
    "LoRA, best checkpoint": {"looks": True},
    "LoRA, no prior": {"prior_weight": 0.0},
    "LoRA and text encoder": {"text_encoder": True},
    "textual inversion": {"method": "textual-inversion", "learning_rate": 5e-3},
    "pivotal": {"method": "pivotal"},
    "full DreamBooth": {"method": "dreambooth", "learning_rate": 1e-5},
}


@dataclass(frozen=True)
class Product:
    """A job without its steps, and the photo that it does not see."""

    job: TrainingJob
    held_out: NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One line of the table: means over the products."""

    way: str
    likeness: float
    agreement: float
    variety: float
    loss_before: float
    loss_after: float
    steps: float
    seconds: float
    bytes: float


def main() -> None:
    """Measures, prints, writes."""
    options = parse()
    logging.basicConfig(level=logging.ERROR)
    base, scorer = load_base(options.model, "auto", options.device), load_scorer(options.clip)
    report = measure(base, scorer, options)
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{report['date'][:10]}-methods-{report['commit']}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    _say(f"written to {path}")


def measure(base: BaseModel, scorer: Scorer, options: argparse.Namespace) -> dict[str, Any]:
    """All rows, with what they were measured on."""
    products = [_product(folder, options.steps) for folder in sorted(options.products.iterdir()) if folder.is_dir()]
    side = base.resolution
    settings = RenderSettings(options.draw_steps, options.guidance, "checkpoint", side, side)
    _say(f"{'':24}likeness agreement variety  loss          steps  s/SKU   bytes/SKU")
    rows = [_row("base model", base, scorer, products, [], settings, 0.0)]
    for way in options.ways:
        fields = dict(WAYS[way])
        slots = fields.pop("slots", len(products))
        looks = _looks(scorer, products, settings, options.steps) if fields.pop("looks", False) else None
        how = TrainingConfig(rank=options.rank, alpha=options.rank, learning_rate=options.learning_rate)
        how = TrainingConfig(**how.model_dump() | fields)
        started = time.perf_counter()
        jobs = [product.job for product in products]
        outcomes = train_cohort(base, jobs, how, side, slots, quiet, evaluation=looks)
        seconds = (time.perf_counter() - started) / len(products)
        trained = [outcome for outcome in outcomes if isinstance(outcome, TrainedAdapter)]
        kept = [p for p, outcome in zip(products, outcomes, strict=True) if isinstance(outcome, TrainedAdapter)]
        rows.append(_row(way, base, scorer, kept, trained, settings, seconds))
    about = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}
    about |= {"device": device_name(base.device), "products": [product.job.sku for product in products]}
    return about | {"rows": [asdict(row) for row in rows]}


def _row(
    way: str,
    base: BaseModel,
    scorer: Scorer,
    products: list[Product],
    trained: list[TrainedAdapter],
    settings: RenderSettings,
    seconds: float,
) -> Row:
    header = LoraHeader("bench", base.family, "bench", WORD, settings.width, "{}", base.prediction)
    files = {adapter.adapter_id: write_lora(adapter.weights, header) for adapter in trained}
    scores, varieties = [], []
    for product in products:
        key = product.job.adapter_id if files else ""
        own = [RenderRequest(product.job.instance + place, "", seed, key) for seed, place in enumerate(PLACES)]
        plain = [RenderRequest(product.job.prior, "", seed, key) for seed in range(len(PLACES))]
        images = render(base, own + plain, settings, files, 8, quiet)
        scores.append(_score(scorer, product, images[: len(PLACES)]))
        varieties.append(_variety(scorer, images[len(PLACES) :]))
    row = Row(
        way,
        float(np.mean([score.likeness for score in scores])),
        float(np.mean([score.agreement for score in scores])),
        float(np.mean(varieties)),
        float(np.mean([adapter.loss_before for adapter in trained] or [0.0])),
        float(np.mean([adapter.loss_after for adapter in trained] or [0.0])),
        float(np.mean([adapter.steps for adapter in trained] or [0.0])),
        seconds,
        float(np.mean([len(data) for data in files.values()] or [0.0])),
    )
    _say(
        f"{way:24}{row.likeness:8.3f}{row.agreement:10.3f}{row.variety:8.3f}"
        f"{row.loss_before:7.3f} {row.loss_after:.3f}{row.steps:9.0f}{row.seconds:7.1f}{row.bytes:12,.0f}"
    )
    return row


def _looks(scorer: Scorer, products: list[Product], settings: RenderSettings, steps: int) -> Evaluation:
    by_id = {product.job.adapter_id: product for product in products}

    def requests(job: TrainingJob) -> list[RenderRequest]:
        return [RenderRequest(job.instance + place, "", seed) for seed, place in enumerate(PLACES)]

    def score(job: TrainingJob, images: list[NDArray[np.uint8] | None]) -> Score:
        return _score(scorer, by_id[job.adapter_id], images)

    return Evaluation(max(1, steps // 5), requests, settings, score)


def _score(scorer: Scorer, product: Product, images: list[NDArray[np.uint8] | None]) -> Score:
    drawn = [(image, place) for image, place in zip(images, PLACES, strict=True) if image is not None]
    if not drawn:
        return Score(-1.0, -1.0)
    features = scorer.images([image for image, _ in drawn])
    texts = scorer.texts([product.job.prior + place for _, place in drawn])
    likeness = float((features @ scorer.images([product.held_out]).T).mean())
    return Score(likeness, float((features * texts).sum(1).mean()))


def _variety(scorer: Scorer, images: list[NDArray[np.uint8] | None]) -> float:
    features = scorer.images([image for image in images if image is not None])
    return float(np.mean([1 - float(a @ b) for a, b in combinations(features, 2)] or [0.0]))


def _product(folder: Path, steps: int) -> Product:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
    photos = [np.array(Image.open(file).convert("RGB")) for file in files]
    noun = folder.name.replace("_", " ").replace("-", " ")
    everywhere = [np.ones(photo.shape[:2], np.float32) for photo in photos]
    learned = tuple(TrainingPhoto(*pair) for pair in zip(photos[:-1] or photos, everywhere, strict=False))
    prior = f"a photo of a {noun}"
    job = TrainingJob(folder.name, folder.name, f"a photo of a {WORD} {noun}", prior, learned, steps, 1)
    return Product(replace(job, seed=sum(folder.name.encode())), photos[-1])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="a diffusers pipeline folder")
    parser.add_argument("--clip", type=Path, required=True, help="a CLIP model folder")
    parser.add_argument("--products", type=Path, required=True, help="a folder of folders of photos")
    parser.add_argument("--ways", type=lambda text: text.split(";"), default=list(WAYS), help="rows, split by ;")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--draw-steps", type=int, default=15)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
