"""Fine-tunes many SKUs at once: DreamBooth-style LoRA (Ruiz et al. 2023, arXiv:2208.12242) in the slots of a bank.

Everything random about a SKU comes from its own generator, and everything summed is summed per SKU, so that an
adapter does not depend on its neighbours. A SKU that is done, or that has diverged, frees its slot for the next.
"""

import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch

from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.cohort import Cohort
from tasks.engine.dreambooth import train_whole
from tasks.engine.evaluation import Evaluation
from tasks.engine.jobs import Outcome, TrainingJob
from tasks.engine.memory import fitting_slots, is_out_of_memory
from tasks.engine.snapshot import Snapshots, resume, slots_of, take_snapshot

logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


def train_cohort(
    base: BaseModel,
    jobs: list[TrainingJob],
    recipe: TrainingConfig,
    resolution: int,
    slots: int | None,
    progress: Progress,
    *,
    compiled: bool = False,
    snapshots: Snapshots | None = None,
    evaluation: Evaluation | None = None,
) -> list[Outcome]:
    """Trains all jobs, at most `slots` at a time, and returns one outcome per job, in their order.

    Without `slots`, as many at a time as the device's free memory holds.

    `progress(done, total)` counts steps over all jobs. When the device has too little memory, the number of slots is
    halved, and the jobs without an outcome begin again; with one slot left activations are computed twice instead of
    kept, and when that does not fit either, torch.OutOfMemoryError is raised.
    `compiled` passes the UNet through torch.compile, which pays when many cohorts follow in one process. With
    `snapshots` an interrupted training goes on from its last one and ends with the same bits. With `evaluation` each
    SKU's best checkpoint is the outcome, and a SKU that gains no more ends early. Full DreamBooth trains one SKU after
    the other, and knows neither snapshots nor evaluation.
    """
    if recipe.method == "dreambooth":
        return _train_whole(base, jobs, recipe, resolution, progress)
    outcomes: dict[str, Outcome] = {}
    unet = torch.compile(base.unet, dynamic=False) if compiled else None
    state = snapshots.resume if snapshots else None
    after_step = _after_step(progress, snapshots)
    with base.lock:
        if state:
            slots = slots_of(state)
        elif slots is None:
            slots = fitting_slots(base, jobs, recipe, resolution)
        slots, lean = min(slots, len(jobs)), False
        while len(outcomes) < len(jobs):
            begin = partial(Cohort, base, jobs, recipe, resolution, slots, outcomes, unet, after_step, evaluation)
            with recomputing(base) if lean else nullcontext():
                fits = _fits(begin, state)
            if not fits:
                if lean:
                    raise torch.OutOfMemoryError(f"training one SKU at {resolution} pixels does not fit {base.device}")
                slots, lean, state = max(1, slots // 2), slots == 1, None
                torch.cuda.empty_cache()
                logger.warning("out of memory: training on with %d SKUs at a time%s", slots, ", lean" if lean else "")
    return [outcomes[job.adapter_id] for job in jobs]


def _train_whole(
    base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int, progress: Progress
) -> list[Outcome]:
    total, outcomes, done = sum(job.steps for job in jobs), [], itertools.count(1)
    with base.lock:
        for job in jobs:
            outcomes.append(train_whole(base, job, recipe, resolution, lambda: progress(next(done), total)))
    return outcomes


@contextmanager
def recomputing(base: BaseModel) -> Iterator[None]:
    """Gradient checkpointing: about a third more arithmetic for a fraction of the memory, and the same numbers."""
    base.unet.enable_gradient_checkpointing()
    try:
        yield
    finally:
        base.unet.disable_gradient_checkpointing()


def _fits(begin: Callable[[], Cohort], state: bytes | None) -> bool:
    """Whether a cohort ran to its end, and not out of memory; when this returns, nothing holds its tensors."""
    try:
        cohort = begin()
        if state is not None:
            resume(cohort, state)
        cohort.run()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _after_step(progress: Progress, snapshots: Snapshots | None) -> Callable[[Cohort], None]:
    steps = itertools.count(1)

    def after_step(cohort: Cohort) -> None:
        progress(cohort.done, cohort.total)
        if snapshots and next(steps) % snapshots.every == 0:
            snapshots.write(take_snapshot(cohort))

    return after_step
