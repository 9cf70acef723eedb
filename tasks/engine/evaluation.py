"""Knows when a SKU is done: looks at its images at intervals, keeps the best checkpoint, stops when more is no gain.

More steps raise the likeness to the product and, past some point, cost the obedience to the prompt. So the best is the
checkpoint of the highest likeness among those that still follow their prompts nearly as well as the first one did. But
a look shows a few images, and other seeds would have shown others: what is less alike by no more than that is not
worse, and of such checkpoints the one that has learned longest is kept.
"""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tasks.engine.jobs import CurvePoint, TrainingJob
from tasks.engine.rendering import RenderRequest, RenderSettings

NOISE = 0.05  # of a look's likeness: `tests/bench/results/2026-11-28-looks-*`


@dataclass(frozen=True)
class Score:
    """How much images look like the product, and how well they show what their prompts say; higher is better."""

    likeness: float
    agreement: float


@dataclass(frozen=True)
class Evaluation:
    """When and how a SKU is looked at.

    After every `every` steps, and at its last, a SKU draws `requests(job)` (some prompts and seeds, the same at each
    look; their `adapter` is ignored), `batch_size` images at a time, and `score(job, images)` judges them, against
    photos that are not in the job: those it cannot learn by heart. An image is None where it was not finite, and a
    score that is not finite counts as -1.

    Training stops when `patience` looks in a row have not gained `gain` in likeness, or when the agreement has fallen
    by more than the share `forfeit` of the first look's.
    """

    every: int
    requests: Callable[[TrainingJob], list[RenderRequest]]
    settings: RenderSettings
    score: Callable[[TrainingJob, list[NDArray[np.uint8] | None]], Score]
    batch_size: int = 8
    patience: int = 2
    gain: float = 0.005
    forfeit: float = 0.1


@dataclass
class Watch:
    """What the looks at one SKU have shown, and the weights of the best."""

    points: list[CurvePoint] = field(default_factory=list)
    row: Tensor | None = None

    def add(self, step: int, score: Score, row: Tensor, evaluation: Evaluation) -> bool:
        """Takes a look's result and the slot's weights; returns whether training should stop."""
        point = CurvePoint(step, *(value if math.isfinite(value) else -1.0 for value in astuple(score)))
        self.points.append(point)
        if best_of(self.points, evaluation) is point:
            self.row = row.clone()
        return is_done(self.points, evaluation)


def best_of(points: list[CurvePoint], evaluation: Evaluation) -> CurvePoint:
    """The latest point of those that keep their agreement and have the highest likeness, but for `NOISE`; `points` is
    not empty."""
    follow = [point for point in points if _agrees(point, points[0], evaluation)]
    highest = max(point.likeness for point in follow)
    return [point for point in follow if point.likeness >= highest - NOISE][-1]


def is_done(points: list[CurvePoint], evaluation: Evaluation) -> bool:
    """Whether likeness no longer gains, or the last look's agreement has fallen."""
    reference, stale = -math.inf, 0
    for point in points:
        if point.likeness > reference + evaluation.gain:
            reference, stale = point.likeness, 0
        else:
            stale += 1
    return stale >= evaluation.patience or not _agrees(points[-1], points[0], evaluation)


def _agrees(point: CurvePoint, first: CurvePoint, evaluation: Evaluation) -> bool:
    return point.agreement >= first.agreement - evaluation.forfeit * abs(first.agreement)
