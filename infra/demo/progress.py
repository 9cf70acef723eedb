"""Budgets, checkpoints and the journal that every training stage keeps."""

import csv
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)


class Journal:
    """Counts a stage's steps and minutes, and appends the mean loss to a CSV file twice a minute.

    Minutes count over interruptions: a resumed stage goes on with the budget that it had left.
    """

    def __init__(self, path: Path, stage: str, minutes: float) -> None:
        self.path, self.stage, self.minutes = path, stage, minutes
        self.step, self.spent = 0, 0.0
        self._last, self._noted = time.monotonic(), 0.0
        self._sum: Tensor | float = 0.0
        self._count = 0

    def resume(self, state: dict[str, float] | None) -> None:
        """Go on from a checkpoint's counters."""
        if state:
            self.step, self.spent = int(state["step"]), float(state["spent"])
            self._noted = self.spent
            log.info("%s resumes at step %d, %.1f of %.1f minutes", self.stage, self.step, self.spent, self.minutes)
        self._last = time.monotonic()

    def over(self) -> bool:
        """Whether the budget is used up."""
        return self.spent >= self.minutes

    def rate(self, warm: int) -> float:
        """The learning rate's factor: `warm` steps up, then a cosine down to 3 % over the budget."""
        share = min(1.0, self.spent / max(self.minutes, 1e-6))
        return min(1.0, (self.step + 1) / warm) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))

    def note(self, loss: Tensor) -> None:
        """Count one step with its loss, which is not waited for until it is written."""
        now = time.monotonic()
        self.spent += (now - self._last) / 60
        self._last = now
        self.step += 1
        self._sum, self._count = self._sum + loss.detach(), self._count + 1
        if self.spent - self._noted >= 0.5 or self.over():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = not self.path.exists()
            with self.path.open("a", newline="") as file:
                writer = csv.writer(file)
                if fresh:
                    writer.writerow(["stage", "step", "minutes", "loss"])
                row = [self.stage, self.step, f"{self.spent:.2f}", f"{float(self._sum) / self._count:.5f}"]
                writer.writerow(row)
            log.info("%s step %s at %s minutes: loss %s", *row)
            self._noted, self._sum, self._count = self.spent, 0.0, 0

    def pause(self) -> None:
        """Leave out what happened since the last step (saving, sampling) from the budget."""
        self._last = time.monotonic()


def backward(loss_of: Callable[[slice], Tensor], count: int, workers: int) -> Tensor:
    """Back-propagate the mean of `loss_of` over a batch of `count`, split among `workers` threads; returns the loss.

    On a shared CPU, threads that each run a part of the batch by themselves lose far less time than threads that meet
    in every single operation. Gradients add up in the parameters as in one backward pass.
    """
    edges = [count * i // workers for i in range(workers + 1)]

    def run(start: int, stop: int) -> Tensor:
        loss = loss_of(slice(start, stop)) * ((stop - start) / count)
        loss.backward()
        return loss.detach()

    if workers == 1:
        return run(0, count)
    with ThreadPoolExecutor(workers) as pool:
        return torch.stack(list(pool.map(run, edges[:-1], edges[1:]))).sum()


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where it helps: on GPUs, and on CPUs with their own bfloat16 instructions."""
    quick = device.type != "cpu" or getattr(torch.cpu, "_is_avx512_bf16_supported", bool)()
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(quick))


def save_state(path: Path, parts: dict[str, Any], journal: Journal) -> None:
    """Write models, optimizers and counters to one file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: part.state_dict() for name, part in parts.items()}
    state["journal"] = {"step": journal.step, "spent": journal.spent}
    rough = path.with_suffix(".part")
    torch.save(state, rough)
    rough.replace(path)
    journal.pause()


def load_state(path: Path, parts: dict[str, Any], device: torch.device) -> dict[str, float] | None:
    """Restore what `save_state` wrote and return its counters, or None where there is nothing yet."""
    if not path.exists():
        return None
    state = torch.load(path, map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return dict(state["journal"])
