"""Fine-tunes many SKUs at once: DreamBooth-style LoRA (Ruiz et al. 2023, arXiv:2208.12242) in the slots of a bank.

Everything random about a SKU comes from its own generator, and everything summed is summed per SKU, so that an
adapter does not depend on its neighbours. A SKU that is done, or that has diverged, frees its slot for the next.
"""

import logging
from collections.abc import Callable
from functools import partial

import torch

from configs.schema import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.cohort import Cohort, Progress
from tasks.engine.crops import TrainingPhoto
from tasks.engine.jobs import DivergedAdapter, Outcome, TrainedAdapter, TrainingJob, steps_for

__all__ = [
    "TRAINER_VERSION",
    "DivergedAdapter",
    "Outcome",
    "TrainedAdapter",
    "TrainingJob",
    "TrainingPhoto",
    "steps_for",
    "train_cohort",
]
TRAINER_VERSION = 1  # part of an adapter's identity: raise it when the same recipe would give other weights
logger = logging.getLogger(__name__)


def train_cohort(
    base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int, slots: int, progress: Progress
) -> list[Outcome]:
    """Trains all jobs, at most `slots` at a time, and returns one outcome per job, in their order.

    `progress(done, total)` counts steps over all jobs. When the device has too little memory, the number of slots is
    halved, and the jobs without an outcome begin again; with one slot left torch.OutOfMemoryError is raised.
    """
    outcomes: dict[str, Outcome] = {}
    slots = min(slots, len(jobs))
    with base.lock:
        while len(outcomes) < len(jobs):
            if not _fits(partial(Cohort, base, jobs, recipe, resolution, slots, progress, outcomes)):
                if slots == 1:
                    raise torch.OutOfMemoryError(f"training one SKU at {resolution} pixels does not fit {base.device}")
                slots //= 2
                torch.cuda.empty_cache()
                logger.warning("out of memory: training on with %d SKUs at a time", slots)
    return [outcomes[job.adapter_id] for job in jobs]


def _fits(cohort: Callable[[], Cohort]) -> bool:
    """Runs it to its end, or until memory runs out; by the return nothing holds its tensors."""
    try:
        cohort().run()
    except torch.OutOfMemoryError:
        return False
    return True
