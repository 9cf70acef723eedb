"""AdamW over the bank's rows: every slot has its own step count, learning rate and gradient clip.

torch.optim.AdamW keeps one step count per tensor, so a slot whose tenant changes would inherit its predecessor's bias
correction. The update is AdamW's (Loshchilov & Hutter 2019, arXiv:1711.05101) with one row per slot.
"""

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class SlotAdamW:
    """Moments for `weights` (slots, parameters); `gradients` has the same shape and is read at each step.

    `paces` (parameters,) multiplies the learning rate of each parameter.
    """

    def __init__(
        self,
        weights: Tensor,
        gradients: Tensor,
        weight_decay: float,
        gradient_clip: float,
        paces: Tensor | None = None,
    ) -> None:
        self.weights = weights
        self.gradients = gradients
        self.first = torch.zeros_like(weights)
        self.second = torch.zeros_like(weights)
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.paces = paces

    def reset(self, slot: int) -> None:
        """Forgets a slot's moments: a new tenant starts as in a fresh bank."""
        self.first[slot].zero_()
        self.second[slot].zero_()

    @torch.no_grad()
    def step(self, rates: list[float], counts: list[int]) -> None:
        """One update. `rates` (learning rates) and `counts` (the step's number, from 1) are per slot; rate 0 leaves
        a slot as it is.

        Gradients are clipped per slot, since one norm over all slots would couple the SKUs.
        """
        norm = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        gradients = self.gradients * (self.gradient_clip / (norm + 1e-6)).clamp(max=1.0)
        self.first.lerp_(gradients, 1 - BETAS[0])
        self.second.mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
        stride, correction, decay, live = self._scalars(rates, counts).unbind(1)
        denominator = self.second.sqrt().div_(correction[:, None]).add_(EPSILON)
        change = stride[:, None] * self.first / denominator + decay[:, None] * self.weights
        updated = self.weights - (change if self.paces is None else change * self.paces)
        torch.where(live[:, None] > 0, updated, self.weights, out=self.weights)

    def _scalars(self, rates: list[float], counts: list[int]) -> Tensor:
        """Per slot: stride, root of the second moment's bias correction, weight decay, and the rate.

        Computed in double precision on the host: 1 - 0.999 ** n loses four digits in single precision. One copy to
        the device, which nothing waits for.
        """
        rows = [
            (rate / (1 - BETAS[0] ** n), (1 - BETAS[1] ** n) ** 0.5, rate * self.weight_decay, rate)
            for rate, n in zip(rates, counts, strict=True)
        ]
        return to_device(torch.tensor(rows, dtype=self.weights.dtype), self.weights.device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on the device, without waiting for the work that the device has yet to do."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
