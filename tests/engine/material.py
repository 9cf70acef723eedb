"""What the engine's tests train and draw with: small products, jobs, recipes, adapters with something to say."""

import numpy as np
import torch

from configs.training import TrainingConfig
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.crops import TrainingPhoto
from tasks.engine.jobs import Outcome, TrainedAdapter, TrainingJob
from tasks.engine.lora_file import LoraWeights
from tasks.engine.rendering import RenderSettings
from tasks.engine.training import train_cohort
from tests.engine.counted_file import HEADER as HEADER
from tests.models.tiny import RESOLUTION

SETTINGS = RenderSettings(steps=3, guidance=4.0, scheduler="checkpoint", width=64, height=64)


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""


def photo(seed: int) -> TrainingPhoto:
    """A coloured disc on a gradient, 80 x 72 pixels."""
    draw = np.random.default_rng(seed)
    rows, columns = np.mgrid[:80, :72]
    middle, radius = draw.uniform(30, 42, 2), draw.uniform(12, 24)
    mask = ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 < radius**2).astype(np.float32)
    scene = rows[..., None] * draw.uniform(0, 2, 3) + columns[..., None] * draw.uniform(0, 1, 3)
    rgb = np.where(mask[..., None] > 0, draw.uniform(0, 255, 3), scene).clip(0, 255)
    return TrainingPhoto(rgb.astype(np.uint8), mask)


def job(number: int, steps: int = 4, **changes: object) -> TrainingJob:
    fields = {
        "adapter_id": f"id-{number}",
        "sku": f"SKU-{number}",
        "instance": f"a photo of sks{number} mug",
        "prior": "a photo of a mug",
        "photos": (photo(2 * number), photo(2 * number + 1)),
        "steps": steps,
        "seed": 100 + number,
    }
    return TrainingJob(**(fields | changes))


def poisoned(number: int, steps: int = 4) -> TrainingJob:
    """A job whose loss is NaN from its first step."""
    good = photo(number)
    return job(number, steps, photos=(TrainingPhoto(good.rgb, np.full_like(good.mask, np.nan)),))


def recipe(**changes: object) -> TrainingConfig:
    return TrainingConfig(**({"rank": 4, "alpha": 8.0, "crops": 2, "learning_rate": 1e-3} | changes))


def train(base: BaseModel, jobs: list[TrainingJob], how: TrainingConfig, slots: int = 8) -> list[Outcome]:
    return train_cohort(base, jobs, how, RESOLUTION, slots, quiet)


def weights_of(outcome: Outcome) -> torch.Tensor:
    """All numbers of an adapter in one row."""
    assert isinstance(outcome, TrainedAdapter), outcome
    return torch.cat([factor.flatten() for pair in outcome.weights.modules.values() for factor in pair])


def strong_adapter(base: BaseModel, seed: int, rank: int = 4, alpha: float = 8.0, **options: object) -> LoraWeights:
    """An adapter that visibly changes the image, without any training."""
    bank = AdapterBank(base.unet, 1, rank, **options)
    bank.weights.normal_(std=0.15, generator=torch.Generator().manual_seed(seed))
    return bank.save(0, rank, alpha)
