"""An engine that learns nothing: it notes what it is told, and each of its jobs diverges."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Reference
from configs.schema import RunConfig
from tasks.engine.jobs import DivergedAdapter, TrainingJob
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tests.configs_tiny import tiny_config


class Engine:
    """What it was told: its `jobs`, the `recipe`, and the `options` that come by name; `rehearsed` are the class
    prompts that it asked images of."""

    def __init__(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs, self.recipe, self.options = list[TrainingJob](), Any, dict[str, Any]()
        self.rehearsed = list[str]()
        monkeypatch.setattr(module, "base_of", lambda context: SimpleNamespace(lock=nullcontext()))
        monkeypatch.setattr(module, "class_images", self._class_images)
        monkeypatch.setattr(module, "train_cohort", self._train)

    def _class_images(self, context: RunContext, base: Any, store: Any, prompt: str) -> tuple[str, ...]:
        self.rehearsed.append(prompt)
        return (f"an image of {prompt}",)

    def _train(
        self,
        base: Any,
        jobs: list[TrainingJob],
        recipe: Any,
        resolution: int,
        slots: int,
        progress: Any,
        **options: Any,
    ) -> list[DivergedAdapter]:
        self.jobs, self.recipe, self.options = jobs, recipe, {"slots": slots, **options}
        return [DivergedAdapter(job.adapter_id, job.sku, f"{job.sku} ran away") for job in jobs]


def context_of(store: Path, snapshot_steps: int = 0, **training: Any) -> RunContext:
    """A run into an empty store."""
    training = {"steps_per_photo": 2, "steps_minimum": 1, "steps_maximum": 9, "seed": 3, "backdrop": "white"} | training
    compute = {"snapshot_steps": snapshot_steps}
    config = RunConfig.model_validate(tiny_config(Path("model"), training=training, compute=compute))
    return RunContext("run", "", str(store), config, ModelFolder("", "", 64, ""), datetime.now(UTC))


def job_of(sku: str, noun: str = "mug", colour: str = "", start: AdapterSpec | None = None) -> SkuJob:
    """A SKU that is to be trained."""
    spec = AdapterSpec(sku, noun, "model", (), "{}", 2, start.id if start else "", colour)
    return SkuJob(Product(sku, sku, noun, ()), (), spec, "new", (), start)


def photos_of(sku: str, *names: str) -> tuple[Reference, ...]:
    """Its usable photos."""
    return tuple(Reference(name, sku, f"{name}.png", "", "", 64, 64, "given", 0.5, 1.0) for name in names)
