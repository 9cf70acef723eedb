"""How many SKUs train at once: the device's free memory over what one of them takes, by a measured step.

`train_cohort` still halves the number where it was too many: other programs may take memory at any time.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import torch
from torch import Tensor

from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.cohort import Cohort
from tasks.engine.jobs import TrainingJob

SHARE = 0.8  # of the free memory: allocators waste some of it, and the looks in between draw images
CGROUP = Path("/sys/fs/cgroup")  # a container's own limit, which the machine's free memory does not know
logger = logging.getLogger(__name__)


def fitting_slots(
    base: BaseModel,
    jobs: list[TrainingJob],
    recipe: TrainingConfig,
    resolution: int,
    free: Callable[[torch.device], int] | None = None,
) -> int:
    """How many of `jobs` the device can train at once, at least 1 and at most all.

    The steps that are measured change nothing. `free(device)` is asked for the bytes at hand, by default `free_bytes`.
    Where two SKUs do not fit, the answer is 1.
    """
    if len(jobs) < 2:
        return len(jobs)
    try:
        shared, each = step_costs(base, jobs, recipe, resolution)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        return 1
    at_hand = (free or free_bytes)(base.device)
    slots = int((SHARE * at_hand - shared) // each)
    slots = min(max(slots, 1), len(jobs))
    logger.info("%.2f GB free, %.3f GB for each SKU: training %d at once", at_hand / 1e9, each / 1e9, slots)
    return slots


def step_costs(base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int) -> tuple[int, int]:
    """Bytes of a step that all SKUs share, and those of each SKU: measured by a step of one SKU and a step of two."""
    one, two = (step_bytes(base, jobs[:count], recipe, resolution) for count in (1, 2))
    each = max(1, two - one)
    return one - each, each


def step_bytes(base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int) -> int:
    """The most bytes that one training step of all `jobs` holds above the base model.

    CUDA counts them itself. Elsewhere they are the adapters' rows (weights, gradients and two moments) and all that
    autograd keeps for the backward pass, which is nearly everything.
    """
    counted = base.device.type == "cuda"
    probe = new_probe(base, jobs, recipe, resolution, 2 if counted else 1)
    rows = 4 * probe.bank.weights.numel() * probe.bank.weights.element_size()
    if counted:
        return rows + cuda_peak(probe)
    there = [probe.bank.weights, *base.parameters().values()]
    with _kept_for_backward() as kept:
        probe.run()
    return rows + sum(kept[address] for address in kept.keys() - {_address(tensor) for tensor in there})


def new_probe(base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int, steps: int) -> Cohort:
    """A cohort that trains all `jobs` for a few steps and reports nothing."""
    return Cohort(base, [replace(job, steps=steps) for job in jobs], recipe, resolution, len(jobs), {})


def cuda_peak(probe: Cohort) -> int:
    """The most bytes that the last step took. Admitting SKUs may take more, but they are admitted one by one."""
    device, peaks = probe.base.device, list[int]()

    def note(cohort: Cohort) -> None:
        peaks.append(torch.cuda.max_memory_allocated(device))
        torch.cuda.reset_peak_memory_stats(device)

    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    probe.after_step = note
    probe.run()
    return peaks[-1] - before


def free_bytes(device: torch.device) -> int:
    """What training may still take: of CUDA's or MPS's own memory, or of the machine's and this container's."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    available = psutil.virtual_memory().available
    if device.type == "mps":
        return min(available, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    limit, used = (_number(CGROUP / name) for name in ("memory.max", "memory.current"))
    if limit is None or used is None:
        return available
    return min(available, max(limit - used + _files_kept(), 0))


def is_out_of_memory(error: RuntimeError) -> bool:
    """CUDA has an exception of its own for it; MPS and the CPU only have words."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in words)


@contextmanager
def _kept_for_backward() -> Iterator[dict[int, int]]:
    """The bytes of every storage that autograd keeps inside, by address; weights are among them."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[_address(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _number(file: Path) -> int | None:
    """The number in a file; None where there is none, or no limit."""
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdigit() else None


def _files_kept() -> int:
    """Bytes of files that the container has cached: they count as used, but give way to whoever needs memory."""
    file = CGROUP / "memory.stat"
    counts = dict(line.split() for line in file.read_text().splitlines()) if file.is_file() else {}
    return int(counts.get("inactive_file", 0))
