"""The training loss of many SKUs in one pass: one number each, of its own rows only."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from configs.schema import TrainingConfig
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, concatenate, predict
from tasks.engine.noise import NoiseSchedule
from tasks.engine.slot_optimizer import to_device
from tasks.engine.tenant import Draw, Tenant

PROBES = 8  # fixed crops, timesteps and noises on which a SKU's loss is measured before and after


class Objective:
    """The masked, min-SNR weighted denoising error, plus `prior_weight` times the drift from the base model's own
    answer to the class prompt, which keeps the class what it was without any class images."""

    def __init__(
        self, base: BaseModel, bank: AdapterBank, recipe: TrainingConfig, unet: Callable[..., Any] | None = None
    ) -> None:
        self.base, self.bank, self.recipe, self.unet = base, bank, recipe, unet
        self.schedule = NoiseSchedule(base)

    def losses(self, tenants: list[Tenant], draws: list[Draw]) -> Tensor:
        """One loss per tenant (tenants,); a draw holds as many rows as every other."""
        rows = len(draws[0].timesteps)
        noisy, target, weight, timesteps = self._inputs(tenants, draws)
        text = concatenate([tenant.text for tenant in tenants]).repeat_each(rows)
        if not self.recipe.prior_weight:
            learned = predict(self.base, noisy, timesteps, text, self.unet)
            return self._error(learned, target, weight, timesteps).unflatten(0, (-1, rows)).mean(1)
        prior = concatenate([tenant.prior for tenant in tenants]).repeat_each(rows)
        with torch.no_grad(), self.bank.disabled():
            anchor = predict(self.base, noisy, timesteps, prior, self.unet)
        doubled = noisy.unflatten(0, (-1, rows)).repeat(1, 2, 1, 1, 1).flatten(0, 1)
        times = timesteps.unflatten(0, (-1, rows)).repeat(1, 2).flatten()
        both = predict(self.base, doubled, times, _interleave(text, prior, rows), self.unet)
        learned, kept = both.unflatten(0, (-1, 2, rows)).unbind(1)
        error = self._error(learned.flatten(0, 1), target, weight, timesteps)
        drift = self._error(kept.flatten(0, 1), anchor, torch.ones_like(weight), timesteps)
        return (error + self.recipe.prior_weight * drift).unflatten(0, (-1, rows)).mean(1)

    @torch.no_grad()
    def probe(self, tenant: Tenant) -> float:
        """A SKU's loss on fixed inputs, without the prior's share; waits for the device."""
        draw = tenant.draw(PROBES, len(self.schedule), torch.Generator().manual_seed(0))
        spaced = (torch.linspace(0.05, 0.95, PROBES) * (len(self.schedule) - 1)).long()
        draw = Draw(draw.crops, spaced, draw.noise, draw.posterior)
        noisy, target, weight, timesteps = self._inputs([tenant], [draw])
        with self.bank.routed(torch.tensor([tenant.slot], device=self.base.device)):
            prediction = predict(self.base, noisy, timesteps, tenant.text.repeat_each(PROBES))
        return float(self._error(prediction, target, weight, timesteps).mean())

    def _inputs(self, tenants: list[Tenant], draws: list[Draw]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy latents, the right answer, loss weights and timesteps of all draws, row after row."""
        device, dtype = self.base.device, tenants[0].crops.mean.dtype
        rows = len(draws[0].timesteps)
        crops = to_device(torch.stack([draw.crops for draw in draws]), device)
        timesteps = to_device(torch.cat([draw.timesteps for draw in draws]), device)
        noise = to_device(torch.cat([draw.noise for draw in draws]).to(dtype), device)
        posterior = to_device(torch.cat([draw.posterior for draw in draws]).to(dtype), device)
        samples = [
            tenant.crops.sample(index, normal)
            for tenant, index, normal in zip(tenants, crops, posterior.split(rows), strict=True)
        ]
        latents, weight = torch.cat([sample[0] for sample in samples]), torch.cat([sample[1] for sample in samples])
        noisy, target = self.schedule.noised(latents, noise, timesteps)
        return noisy.to(self.base.dtype), target, weight, timesteps

    def _error(self, prediction: Tensor, target: Tensor, weight: Tensor, timesteps: Tensor) -> Tensor:
        """The squared error of each row, weighted by place and by time."""
        error = ((prediction.to(weight.dtype) - target.to(weight.dtype)) ** 2 * weight).mean((1, 2, 3))
        gamma = self.recipe.snr_gamma
        return error * self.schedule.min_snr(timesteps, gamma) if gamma else error


def _interleave(text: Conditioning, prior: Conditioning, rows: int) -> Conditioning:
    """Per tenant `rows` rows of its text, then `rows` rows of its prior."""

    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a.unflatten(0, (-1, rows)), b.unflatten(0, (-1, rows))], 1).flatten(0, 1)

    pooled = None if text.pooled is None or prior.pooled is None else join(text.pooled, prior.pooled)
    return Conditioning(join(text.embeds, prior.embeds), pooled)
