"""The training loss of many SKUs in one pass: one number each, of its own rows only."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from configs.training import TrainingConfig
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, concatenate, predict
from tasks.engine.noise import NoiseSchedule
from tasks.engine.tenant import Draw, Tenant
from tasks.engine.text import encode
from tasks.engine.transfer import to_device

PROBES = 8  # fixed crops, timesteps and noises on which a SKU's loss is measured before and after


class Objective:
    """The masked, min-SNR weighted denoising error, plus `prior_weight` times what keeps the class as it was: the drift
    from the base model's own answer to the class prompt, or the error on class images that it drew beforehand."""

    def __init__(
        self,
        base: BaseModel,
        bank: AdapterBank,
        recipe: TrainingConfig,
        unet: Callable[..., Any] | None = None,
        anchor: Callable[..., Any] | None = None,
    ) -> None:
        """`unet` learns in place of the base model's own UNet, and `anchor` keeps the class in place of `unet` without
        its adapters."""
        self.base, self.bank, self.recipe, self.unet = base, bank, recipe, unet
        self.anchor = unet if anchor is None else anchor
        self.probed = base.unet if anchor is None else unet  # one odd shape of batch is not worth a compiled graph
        self.schedule = NoiseSchedule(base)

    def losses(self, tenants: list[Tenant]) -> Tensor:
        """The next step's loss of each tenant (tenants,)."""
        rows = self.recipe.batch_size
        own = self._inputs([tenant.draw(rows, len(self.schedule)) for tenant in tenants])
        text, prior = (words.repeat_each(rows) for words in self._words(tenants))
        if not self.recipe.prior_weight:
            learned = predict(self.base, own.noisy, own.timesteps, text, self.unet)
            return self._error(learned, own).unflatten(0, (-1, rows)).mean(1)
        if self.recipe.prior_images:
            kept = self._inputs([tenant.rehearse(rows, len(self.schedule)) for tenant in tenants])
        else:
            kept = self._anchor(own, concatenate([tenant.prior for tenant in tenants]).repeat_each(rows))
        noisy, times = _alternate(own.noisy, kept.noisy, rows), _alternate(own.timesteps, kept.timesteps, rows)
        both = predict(self.base, noisy, times, _interleave(text, prior, rows), self.unet)
        of_own, of_kept = both.unflatten(0, (-1, 2, rows)).unbind(1)
        errors = self._error(of_own.flatten(0, 1), own), self._error(of_kept.flatten(0, 1), kept)
        return (errors[0] + self.recipe.prior_weight * errors[1]).unflatten(0, (-1, rows)).mean(1)

    @torch.no_grad()
    def probe(self, tenant: Tenant) -> float:
        """A SKU's loss on fixed inputs, without the prior's share; waits for the device."""
        draw = tenant.draw(PROBES, len(self.schedule), torch.Generator().manual_seed(0))
        spaced = (torch.linspace(0.05, 0.95, PROBES) * (len(self.schedule) - 1)).long()
        inputs = self._inputs([replace(draw, timesteps=spaced)])
        with self.bank.routed(torch.tensor([tenant.slot], device=self.base.device)):
            text, _ = self._words([tenant])
            prediction = predict(self.base, inputs.noisy, inputs.timesteps, text.repeat_each(PROBES), self.probed)
        return float(self._error(prediction, inputs).mean())

    def _words(self, tenants: list[Tenant]) -> tuple[Conditioning, Conditioning]:
        """The tenants' prompts and prior prompts, a row each: encoded beforehand, or now where the text learns."""
        if not self.bank.trains_text:
            return concatenate([t.text for t in tenants]), concatenate([t.prior for t in tenants])
        both = encode(self.base, self.bank, [prompt for tenant in tenants for prompt in tenant.prompts or ()])
        index = torch.arange(0, len(both.embeds), 2, device=self.base.device)
        return both.rows(index), both.rows(index + 1)

    @torch.no_grad()
    def _anchor(self, own: "_Inputs", prior: Conditioning) -> "_Inputs":
        """The same noisy latents, with the base model's answer to the class prompt as the right one."""
        with self.bank.disabled():
            answer = predict(self.base, own.noisy, own.timesteps, prior, self.anchor)
        return _Inputs(own.noisy, answer, torch.ones_like(own.weight), own.timesteps)

    def _inputs(self, draws: list[Draw]) -> "_Inputs":
        device, dtype = self.base.device, draws[0].crops.mean.dtype
        index = to_device(torch.stack([draw.index for draw in draws]), device)
        timesteps = to_device(torch.cat([draw.timesteps for draw in draws]), device)
        noise = to_device(torch.cat([draw.noise for draw in draws]).to(dtype), device)
        posterior = to_device(torch.stack([draw.posterior for draw in draws]).to(dtype), device)
        samples = [draw.crops.sample(*drawn) for draw, *drawn in zip(draws, index, posterior, strict=True)]
        latents, weight = torch.cat([sample[0] for sample in samples]), torch.cat([sample[1] for sample in samples])
        noisy, target = self.schedule.noised(latents, noise, timesteps)
        return _Inputs(noisy.to(self.base.dtype), target, weight, timesteps)

    def _error(self, prediction: Tensor, inputs: "_Inputs") -> Tensor:
        """The squared error of each row (rows,), weighted by place and by time."""
        weight, gamma = inputs.weight, self.recipe.snr_gamma
        error = ((prediction.to(weight.dtype) - inputs.target.to(weight.dtype)) ** 2 * weight).mean((1, 2, 3))
        return error * self.schedule.min_snr(inputs.timesteps, gamma) if gamma else error


@dataclass(frozen=True)
class _Inputs:
    """Rows for the UNet: noisy latents, the right answer, its weight (rows, 1, h, w) and timesteps."""

    noisy: Tensor
    target: Tensor
    weight: Tensor
    timesteps: Tensor


def _alternate(a: Tensor, b: Tensor, rows: int) -> Tensor:
    """Per tenant `rows` rows of a, then `rows` rows of b."""
    return torch.cat([a.unflatten(0, (-1, rows)), b.unflatten(0, (-1, rows))], 1).flatten(0, 1)


def _interleave(text: Conditioning, prior: Conditioning, rows: int) -> Conditioning:
    pooled = None if text.pooled is None or prior.pooled is None else _alternate(text.pooled, prior.pooled, rows)
    return Conditioning(_alternate(text.embeds, prior.embeds, rows), pooled)
