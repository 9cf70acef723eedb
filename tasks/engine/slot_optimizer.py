"""AdamW over the bank's rows: every slot has its own step count, learning rate and gradient clip.

torch.optim.AdamW keeps one step count per tensor, so a slot whose tenant changes would inherit its predecessor's bias
correction. The update is AdamW's (Loshchilov & Hutter 2019, arXiv:1711.05101) with one row per slot.
"""

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class SlotAdamW:
    """Moments for `weights` (slots, parameters); `gradients` has the same shape and is read at each step."""

    def __init__(self, weights: Tensor, gradients: Tensor, weight_decay: float, gradient_clip: float) -> None:
        self.weights = weights
        self.gradients = gradients
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip

    def reset(self, slot: int) -> None:
        """Forgets a slot's moments: a new tenant starts as in a fresh bank."""
        self.first[slot].zero_()
        self.second[slot].zero_()

    @torch.no_grad()
    def step(self, learning_rate: Tensor, count: Tensor) -> None:
        """One update. `learning_rate` and `count` (the step's number, from 1) are per slot; rate 0 leaves a slot be.

        Gradients are clipped per slot, since one norm over all slots would couple the SKUs.
        """
        norm = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        gradients = self.gradients * (self.gradient_clip / (norm + 1e-6)).clamp(max=1.0)
        self.first.lerp_(gradients, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
        rate = learning_rate[:, None]
        correction_1, correction_2 = 1 - BETAS[0] ** count[:, None], 1 - BETAS[1] ** count[:, None]
        direction = (self.first / correction_1) / ((self.second / correction_2).sqrt() + EPSILON)
        updated = self.weights * (1 - rate * self.weight_decay) - rate * direction
        torch.where(rate > 0, updated, self.weights, out=self.weights)
