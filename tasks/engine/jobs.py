"""What goes into training and what comes out: one job and one outcome per SKU."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.training import TrainingConfig
from tasks.engine.crops import TrainingPhoto
from tasks.engine.lora_file import LoraWeights


@dataclass(frozen=True)
class TrainingJob:
    """One SKU to learn.

    `seed` decides its crops, noises and timesteps; `instance` and `prior` are its prompts. `photos` and `class_images`
    are iterated over whenever it enters a slot, and may be read only then. `class_images`, uint8 (height, width, 3),
    are what the base model draws for `prior`: they are rehearsed where the recipe asks for `prior_images`, and SKUs of
    one prior prompt share them. `start` is an adapter to begin with, such as one trained over all SKUs of the class.
    """

    adapter_id: str
    sku: str
    instance: str
    prior: str
    photos: Iterable[TrainingPhoto]
    steps: int
    seed: int
    class_images: Iterable[NDArray[np.uint8]] = ()
    start: LoraWeights | None = None


@dataclass(frozen=True)
class CurvePoint:
    """One look at a SKU in training: the scores of its images after `step` steps."""

    step: int
    likeness: float
    agreement: float


@dataclass(frozen=True)
class TrainedAdapter:
    """What was learned after `steps` steps, and the loss on the SKU's fixed probes without and with it.

    `curve` holds all looks, also those after `steps`, which were no better; it is empty where nobody looked.
    """

    adapter_id: str
    sku: str
    weights: LoraWeights
    steps: int
    loss_before: float
    loss_after: float
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True)
class DivergedAdapter:
    """A SKU whose loss was not finite or ran away; its neighbours are as if it had never been there."""

    adapter_id: str
    sku: str
    detail: str


RUNAWAY = 4.0  # times the probes' loss before training at which a trained SKU counts as diverged
HALF_SCALE = 4096.0  # of a float16 model's loss: its gradients, of some 1e-4 / pixels, would round to nothing
Outcome = TrainedAdapter | DivergedAdapter


def steps_for(photos: int, recipe: TrainingConfig) -> int:
    """Training steps for a number of photos."""
    return min(max(photos * recipe.steps_per_photo, recipe.steps_minimum), recipe.steps_maximum)


def rate_at(recipe: TrainingConfig, step: int, steps: int) -> float:
    """The learning rate of a SKU's step, from 1 to its `steps`."""
    warm = min(1.0, step / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    left = 1 - (step - 1) / steps if recipe.decay == "linear" else 1.0
    return recipe.learning_rate * warm * left


def diverged(job: TrainingJob, step: int, loss: float, before: float, rate: float) -> DivergedAdapter:
    """The outcome of a SKU whose loss ran away, in words."""
    detail = (
        f"SKU {job.sku}: the training loss was {loss:.3g} by step {step} of {job.steps}; expected it to fall from "
        f"{before:.3g}; try a lower training.learning_rate than {rate:g}"
    )
    return DivergedAdapter(job.adapter_id, job.sku, detail)
