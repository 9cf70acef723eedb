"""Trains the demo model's UNet on cached latents, together with a copy of the CLIP's text tower.

The copy starts from what CLIP training taught it and adapts to what the UNet needs to hear; the CLIP keeps its own.
"""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from infra.demo.parts import TextTower, Unet
from infra.demo.progress import Journal, autocast, backward, load_state, save_state
from infra.demo.recipes import Recipe

log = logging.getLogger(__name__)

SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,  # or white paper would come out grey
    "timestep_spacing": "trailing",
    "steps_offset": 1,
}
"""The noise schedule, shared by training and every sampler."""

DROP = 0.1  # of the captions, for classifier-free guidance
GAMMA = 5.0  # signal-to-noise ratio above which a step's weight falls
MIDDLE = 0.4  # step 500 comes (1 + 0.4) / (1 - 0.4) times as often as the first and the last
PRODUCT = 4.0  # how much more an error weighs on the product than beside it: a buyer looks there
TEXT_RATE = 0.2  # the text tower's learning rate, as a share of the UNet's
SAVE_EVERY = 300.0  # seconds


def new_unet(recipe: Recipe) -> Unet:
    """An untrained UNet of the recipe's size: plain convolutions, and attention to words at the two coarsest levels."""
    plain = max(1, len(recipe.unet_channels) - 2)
    attend = len(recipe.unet_channels) - plain
    return UNet2DConditionModel(
        sample_size=recipe.size // 2 ** (len(recipe.vae_channels) - 1),
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=recipe.unet_channels,
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * attend,
        up_block_types=("CrossAttnUpBlock2D",) * attend + ("UpBlock2D",) * plain,
        cross_attention_dim=recipe.clip_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


class Painter(nn.Module):
    """The UNet and its text tower, which learn together."""

    def __init__(self, unet: Unet, text: TextTower) -> None:
        super().__init__()
        self.unet, self.text = unet, text


@dataclass(frozen=True, slots=True)
class Latents:
    """What the UNet learns from: whitened latents (n, 4, h, w) float16, caption tokens (n, k, length), and how much
    errors weigh where (n, h, w) float16, 1 on average; all on the device that trains."""

    latents: Tensor
    tokens: Tensor
    nothing: Tensor  # the empty caption's tokens (length,)
    emphasis: Tensor


class Average:
    """An exponential moving average of a model's weights that forgets its first steps quickly."""

    def __init__(self, model: torch.nn.Module, decay: float = 0.9995) -> None:
        self.decay, self.step = decay, 0
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module) -> None:
        """Take in the model's weights after one step."""
        self.step += 1
        keep = min(self.decay, (1 + self.step) / (12 + self.step))
        now = model.state_dict()
        torch._foreach_lerp_(list(self.shadow.values()), [now[k] for k in self.shadow], 1 - keep)

    def state_dict(self) -> dict[str, object]:
        """The averaged weights and the step count."""
        return {"step": self.step, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore `state_dict`."""
        self.step, self.shadow = state["step"], state["shadow"]  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Picked:
    """Rows of a batch (n), their latents (n, 4, h, w), tokens of one caption (n, length), and emphasis (n, 1, h, w)."""

    rows: Tensor
    latents: Tensor
    tokens: Tensor
    emphasis: Tensor


def emphasis(masks: np.ndarray, shrunk: int) -> Tensor:
    """How much errors weigh, 1 on average, in latents that are `shrunk` times smaller than their masks (n, h, w)."""
    parts = torch.from_numpy(masks).split(512)
    shown = torch.cat([avg_pool2d(part[:, None].float() / 255, shrunk)[:, 0] for part in parts])
    weight = 1 + (PRODUCT - 1) * shown
    return (weight / weight.mean()).half()


@dataclass(frozen=True, slots=True)
class Batch:
    """One training batch on its device: noisy latents, time steps, caption tokens, targets (n, 4, h, w) and how much
    each of their errors weighs (n, 1, h, w)."""

    noisy: Tensor
    steps: Tensor
    tokens: Tensor
    target: Tensor
    weight: Tensor


def noised(picked: Picked, schedule: Tensor) -> Batch:
    """Latents noised at time steps spread over the batch, with v-targets; `schedule` is alphas-bar.

    Steps with little noise weigh less: shapes and backdrops are decided where there is much. Those in the middle, where
    there is most to learn, come more often (after Esser et al. 2024, who draw them from a logit-normal distribution).
    """
    x = picked.latents
    count = len(x)
    spread = (torch.arange(count, device=x.device) + torch.rand(count, device=x.device)) / count
    spread = spread + MIDDLE / (2 * math.pi) * torch.sin(2 * math.pi * spread)
    steps = (spread * 1000).long().clamp_max(999)
    bar = schedule[steps][:, None, None, None]
    noise = torch.randn_like(x)
    snr = bar / (1 - bar).clamp_min(1e-8)
    weight = (GAMMA / (snr + 1)).clamp_max(1.0)
    noisy = bar.sqrt() * x + (1 - bar).sqrt() * noise
    target = bar.sqrt() * noise - (1 - bar).sqrt() * x
    return Batch(noisy, steps, picked.tokens, target, weight / weight.mean() * picked.emphasis)


def diffusion_loss(model: Painter, batch: Batch, part: slice) -> Tensor:
    """Weighted v-prediction loss of a part of the batch."""
    with autocast(batch.noisy.device):
        words = model.text(batch.tokens[part]).last_hidden_state
        made = model.unet(batch.noisy[part], batch.steps[part], words).sample.float()
    return weighted_error(made, batch, part)


def weighted_error(made: Tensor, batch: Batch, part: slice) -> Tensor:
    """The mean squared error of a part of the batch, each step and place with its weight."""
    return ((made - batch.target[part]).square() * batch.weight[part]).mean()


def noise_schedule(device: torch.device) -> Tensor:
    """Alphas-bar of every time step."""
    scheduler: Any = DDPMScheduler(**SCHEDULE)
    return scheduler.alphas_cumprod.to(device)


def train_unet(
    data: Latents,
    begin: Painter,
    recipe: Recipe,
    out: Path,
    minutes: float,
    seed: int,
    device: torch.device,
    look: Callable[[Painter], None] | None = None,
) -> Painter:
    """Train (or go on training) the UNet and its text tower for `minutes`; returns their averaged weights.

    `begin` is what training begins with, left as it is. `look` is called with the averages at every checkpoint, outside
    the budget.
    """
    model = copy.deepcopy(begin).train().to(device)
    average = Average(model)
    rate = recipe.learning_rate
    groups = [
        {"params": model.unet.parameters(), "lr": rate},
        {"params": model.text.parameters(), "lr": rate * TEXT_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    parts = {"model": model, "average": average, "optimizer": optimizer}
    journal = Journal(out / "log.csv", "unet", minutes)
    journal.resume(load_state(out / "unet.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 3])
    torch.manual_seed(seed + 3 + journal.step)
    schedule, saved = noise_schedule(device), time.monotonic()
    while not journal.over():
        for group, share in zip(optimizer.param_groups, (1.0, TEXT_RATE), strict=True):
            group["lr"] = rate * share * journal.rate(warm=200)
        batch = noised(pick(data, recipe.unet_batch, rng, DROP), schedule)
        loss = backward(partial(diffusion_loss, model, batch), recipe.unet_batch, recipe.threads)
        descend(model, optimizer, average)
        journal.note(loss)
        if time.monotonic() - saved > SAVE_EVERY or journal.over():
            save_state(out / "unet.pt", parts, journal)
            if look:
                look(averaged(model, average))
            journal.pause()
            saved = time.monotonic()
    return averaged(model, average)


def descend(model: nn.Module, optimizer: torch.optim.Optimizer, average: Average) -> None:
    """One step down the gradients that are there, of norm 1 at most, and into the average."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    average.update(model)


def averaged(model: Painter, average: Average) -> Painter:
    """A copy of the model that holds the averaged weights."""
    settled = copy.deepcopy(model)
    settled.load_state_dict(average.shadow)
    return settled.eval()


def pick(data: Latents, size: int, rng: np.random.Generator, drop: float) -> Picked:
    """Rows for a batch, chosen at random; a share of their captions is empty."""
    chosen = rng.integers(0, len(data.latents), size), rng.integers(0, data.tokens.shape[1], size), rng.random(size)
    rows, which, lot = (torch.from_numpy(one).to(data.latents.device) for one in chosen)
    tokens = torch.where(lot[:, None] < drop, data.nothing, data.tokens[rows, which]).long()
    return Picked(rows, data.latents[rows].float(), tokens, data.emphasis[rows, None].float())
