"""AdamW over the bank's rows: every slot has its own step count, learning rate and gradient clip.

torch.optim.AdamW keeps one step count per tensor, so a slot whose tenant changes would inherit its predecessor's bias
correction. The update is AdamW's (Loshchilov & Hutter 2019, arXiv:1711.05101), by torch's fused kernel, slot by slot:
one pass over a row, where a sum written out reads and writes rows a dozen times.
"""

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from tasks.engine.transfer import to_device

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class SlotAdamW:
    """Moments for `weights` (slots, parameters); `gradients` has the same shape, and each step clips it in place.

    `groups` holds runs of a row's parameters, each with a factor on the learning rate.
    """

    def __init__(
        self,
        weights: Tensor,
        gradients: Tensor,
        weight_decay: float,
        gradient_clip: float,
        groups: tuple[tuple[slice, float], ...],
    ) -> None:
        self.weights = weights
        self.gradients = gradients
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.groups = groups

    def reset(self, slot: int) -> None:
        """Forgets a slot's moments: a new tenant starts as in a fresh bank."""
        self.first[slot].zero_()
        self.second[slot].zero_()

    @torch.no_grad()
    def step(self, rates: list[float], counts: list[int]) -> None:
        """One update. `rates` (learning rates) and `counts` (the step's number, from 1) are per slot; rate 0 leaves
        a slot and its moments as they are.

        Gradients are clipped per slot, since one norm over all slots would couple the SKUs.
        """
        norm = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        self.gradients.mul_((self.gradient_clip / (norm + 1e-6)).clamp(max=1.0))
        before = to_device(torch.tensor([n - 1.0 for n in counts], dtype=torch.float32), self.weights.device)
        for slot, rate in enumerate(rates):
            for run, factor in self.groups if rate else ():
                rows = (self.weights, self.gradients, self.first, self.second)
                weights, gradients, first, second = ([row[slot, run]] for row in rows)
                adamw(
                    weights, gradients, first, second, [], [before[slot].clone()],
                    fused=True, amsgrad=False, maximize=False, lr=rate * factor,
                    beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON, weight_decay=self.weight_decay,
                )  # fmt: skip
