"""What the tables of `bench_fidelity` are made of: adapters, the pictures drawn with them, and their scores."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from configs.schema import RunConfig
from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.evaluation import Evaluation
from tasks.engine.jobs import TrainedAdapter, TrainingJob, steps_for
from tasks.engine.lora_file import LoraHeader, write_lora
from tasks.engine.rendering import RenderRequest, RenderSettings, render
from tasks.engine.similarity import Scorer
from tasks.engine.training import train_cohort
from tests.bench.likeness import Likeness, Product, Rgb, likeness, read_products
from tests.bench.tables import as_text, say
from tests.engine.material import quiet

PLAIN, SCENES = ", plain white background", (", on a wooden table", ", on green grass in a garden")
OTHER_SCENES = (", on sand at the beach", ", on a kitchen counter", ", on dark slate, dark grey background")
FIRST_SEED = 100  # of the pictures that are judged; looks in between use others


@dataclass(frozen=True)
class Trained:
    """The adapters' files by SKU, what training said of them, and the seconds of each."""

    files: dict[str, bytes]
    outcomes: dict[str, TrainedAdapter]
    seconds: float


@dataclass(frozen=True)
class Drawn:
    """A SKU's pictures on white and in the two scenes."""

    plain: list[Rgb]
    scenes: list[Rgb]


class Bench:
    """The model, its judge, the products and the preset's recipe; the LoRAs that several tables need train once."""

    def __init__(self, base: BaseModel, scorer: Scorer, catalog: Path, options: argparse.Namespace) -> None:
        self.base, self.scorer, self.options = base, scorer, options
        config = RunConfig.model_validate(yaml.safe_load(options.config.read_text()))
        self.products = read_products(catalog, options.skus, scorer, config.training.colour_attributes)
        side, drawing = base.resolution, config.generation
        self.generation = drawing.model_copy(update={"seed": FIRST_SEED})
        self.known: dict[tuple[Any, ...], list[Drawn]] = {}
        self.recipe = config.training
        self.settings = RenderSettings(options.draw_steps or drawing.steps, drawing.guidance, "checkpoint", side, side)

    def jobs(self, held_out: int = 0) -> list[TrainingJob]:
        """A job for each product, without its last photographs."""
        found = []
        for number, one in enumerate(self.products):
            photos = one.photos[: len(one.photos) - held_out]
            prompts = f"a photo of a {self.token(one)}", f"a photo of a {one.noun}"
            steps = self.options.steps or steps_for(len(photos), self.recipe)
            found.append(TrainingJob(one.sku, one.sku, *prompts, photos, steps, 1000 + number))
        return found

    def train(
        self, jobs: list[TrainingJob], changes: dict[str, Any], slots: int = 0, looks: Evaluation | None = None
    ) -> Trained:
        """The preset's recipe with `changes`; a SKU that diverges is left out. `steps` in them is a factor."""
        fields = dict(changes)
        factor = fields.pop("steps", 1.0)
        how = TrainingConfig(**self.recipe.model_dump() | fields)
        named = f", {how.backdrop}" if how.backdrop else ""
        jobs = [replace(job, steps=max(1, round(job.steps * factor)), instance=job.instance + named) for job in jobs]
        started = self.clock()
        outcomes = train_cohort(self.base, jobs, how, self.base.resolution, slots or len(jobs), quiet, evaluation=looks)
        seconds = (self.clock() - started) / len(jobs)
        header = LoraHeader("bench", self.base.kind, "bench", "sks", self.settings.width, "{}", self.base.prediction)
        good = {one.sku: one for one in outcomes if isinstance(one, TrainedAdapter)}
        return Trained({sku: write_lora(one.weights, header) for sku, one in good.items()}, good, seconds)

    @cached_property
    def loras(self) -> Trained:
        """The preset's own."""
        return self.train(self.jobs(), {})

    def draw(self, prompts: list[tuple[str, str]], files: dict[str, bytes], seed: int = FIRST_SEED) -> list[Rgb]:
        """A picture for each (SKU, prompt), with the SKU's adapter where there is one."""
        wanted = [
            RenderRequest(prompt, "", seed + number, sku if sku in files else "")
            for number, (sku, prompt) in enumerate(prompts)
        ]
        return self.render(wanted, files)

    def render(self, requests: list[RenderRequest], files: dict[str, bytes]) -> list[Rgb]:
        """The pictures; black where the model's pixels were not finite."""
        blank = np.zeros((self.settings.height, self.settings.width, 3), np.uint8)
        images = render(self.base, requests, self.settings, files, 8)
        return [blank if image is None else image for image in images]

    def pictures(self, files: dict[str, bytes], phrase: Callable[[Product], str]) -> list[Drawn]:
        """Of each product, under the name that `phrase` gives it. Every product and adapter has the same seeds."""
        count, ends = self.options.images, [PLAIN] * self.options.images + list(SCENES)
        key = (tuple(sorted(files.items())), *map(phrase, self.products))
        if key not in self.known:  # several tables show the same
            self.known[key] = []
            for one in self.products:
                drawn = self.draw([(one.sku, f"a photo of a {phrase(one)}{end}") for end in ends], files)
                self.known[key].append(Drawn(drawn[:count], drawn[count:]))
        return self.known[key]

    def row(self, name: str, trained: Trained | None, phrase: Callable[[Product], str]) -> dict[str, Any]:
        """One line of a table: means over the products."""
        drawn = self.pictures(trained.files if trained else {}, phrase)
        scores = likeness(self.scorer, self.products, [one.plain for one in drawn])
        line: dict[str, Any] = {"name": name, **means(scores), **self.agreement(drawn)}
        if trained:
            done = list(trained.outcomes.values())
            line["loss"] = float(np.mean([one.loss_after / one.loss_before for one in done])) if done else None
            line |= {"failed": len(self.products) - len(done), "seconds": trained.seconds}
            line["bytes"] = float(np.mean([len(data) for data in trained.files.values()])) if done else None
        say("  ".join(f"{key} {as_text(value)}" for key, value in line.items()))
        return line

    def agreement(self, drawn: list[Drawn]) -> dict[str, float]:
        """`agreement`: the cosine of the scenes' pictures with prompts that name noun and scene; `scene`: how much
        larger it is than with prompts that name the noun in another place, whatever the product looks like."""
        ends = (PLAIN, *SCENES, *OTHER_SCENES)
        texts = self.scorer.texts([f"a photo of a {one.noun}{end}" for one in self.products for end in ends])
        images = self.scorer.images([image for one in drawn for image in one.scenes])
        count, scenes = len(self.products), len(SCENES)
        cosines = np.einsum("psw,ptw->pst", images.reshape(count, scenes, -1), texts.reshape(count, len(ends), -1))
        own = np.stack([cosines[:, scene, 1 + scene] for scene in range(scenes)], 1)
        others = (cosines.sum(2) - own) / (len(ends) - 1)
        return {"agreement": float(own.mean()), "scene": float((own - others).mean())}

    def token(self, product: Product) -> str:
        """The name that the adapters have learned, with the product's colour where the recipe names it."""
        return f"{self.name(product).removesuffix(product.noun)}{self.recipe.token} {product.noun}"

    def name(self, product: Product) -> str:
        """The same without the learned word: what a base model is asked for instead."""
        return product.words if self.recipe.colour_attributes else product.noun

    def clock(self) -> float:
        """Processor seconds on a CPU, else seconds."""
        if self.base.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()


def means(scores: list[Likeness]) -> dict[str, float]:
    """A line's columns: means over the products."""
    one = mean_likeness(scores)
    return {"cosine": one.cosine, "colour": one.colour, "named": one.named}


def mean_likeness(scores: list[Likeness]) -> Likeness:
    columns = zip(*((one.cosine, one.colour, one.named) for one in scores), strict=True)
    return Likeness(*(float(np.mean(column)) for column in columns))
