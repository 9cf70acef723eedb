"""A SKU in its slot of the bank: its own randomness, its inputs, and how far it has come."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tasks.engine.conditioning import Conditioning
from tasks.engine.crops import EncodedCrops
from tasks.engine.evaluation import Watch
from tasks.engine.jobs import TrainingJob
from tasks.engine.text import Tokens


@dataclass(frozen=True)
class Draw:
    """One step's inputs of one SKU: which of `crops`, timesteps (rows,), and normal numbers (rows, c, h, w), on the
    CPU."""

    crops: EncodedCrops
    index: Tensor
    timesteps: Tensor
    noise: Tensor
    posterior: Tensor


@dataclass
class Tenant:
    """A job in its slot.

    Once `gone`, its outcome is known; its rows may stay in the batch, without effect, to keep the batch's shape.
    """

    job: TrainingJob
    slot: int
    generator: torch.Generator
    crops: EncodedCrops
    text: Conditioning
    prior: Conditioning
    rehearsal: EncodedCrops | None = None
    prompts: tuple[Tokens, Tokens] | None = None  # the instance's and the prior's, where the text encoders learn
    loss_before: float = 0.0
    step: int = 0
    gone: bool = False
    failed: bool = False
    losses: list[Tensor] = field(default_factory=list)
    watch: Watch = field(default_factory=Watch)

    @property
    def reserved(self) -> bool:
        """Whether its rows must stay: a SKU that failed holds them to its planned end, since a batch of another shape
        would round its neighbours' results differently."""
        return not self.gone or (self.failed and self.step < self.job.steps)

    def draw(self, rows: int, timesteps: int, generator: torch.Generator | None = None) -> Draw:
        """The next inputs, from the SKU's own generator and on the CPU: the same on every device."""
        return _draw(self.crops, rows, timesteps, generator or self.generator)

    def rehearse(self, rows: int, timesteps: int) -> Draw:
        """The next inputs of the class images."""
        assert self.rehearsal is not None
        return _draw(self.rehearsal, rows, timesteps, self.generator)


def _draw(crops: EncodedCrops, rows: int, timesteps: int, generator: torch.Generator) -> Draw:
    shape = (rows, *crops.mean.shape[1:])
    index = torch.randint(len(crops.mean), (rows,), generator=generator)
    times = torch.randint(timesteps, (rows,), generator=generator)
    noise, posterior = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return Draw(crops, index, times, noise, posterior)
