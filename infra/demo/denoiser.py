"""Trains the demo model's UNet on cached latents and the frozen text tower's word states."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

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
}
"""The noise schedule, shared by training and every sampler."""

DROP = 0.1  # of the captions, for classifier-free guidance
GAMMA = 5.0  # min-SNR weighting
SAVE_EVERY = 300.0  # seconds


def new_unet(recipe: Recipe) -> UNet2DConditionModel:
    """An untrained UNet of the recipe's size: plain convolutions at the finer levels, attention to words at the two coarsest."""
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


@dataclass(frozen=True, slots=True)
class Latents:
    """What the UNet learns from: latent means and deviations (n, 4, h, w) float16, caption tokens (n, k, length)."""

    means: Tensor
    deviations: Tensor
    tokens: Tensor
    nothing: Tensor  # the empty caption's tokens (length,)


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
class Batch:
    """One training batch on its device: noisy latents, time steps, word states, targets and loss weights."""

    noisy: Tensor
    steps: Tensor
    words: Tensor
    target: Tensor
    weight: Tensor


def noised(x: Tensor, words: Tensor, schedule: Tensor) -> Batch:
    """Latents noised at time steps spread evenly over the batch, with v-targets; `schedule` is alphas-bar.

    The weights are min-SNR's for v-prediction, with a floor: the very last steps still decide the backdrop.
    """
    count = len(x)
    spread = torch.arange(count, device=x.device) + torch.rand(count, device=x.device)
    steps = (spread * (1000 / count)).long().clamp_max(999)
    bar = schedule[steps][:, None, None, None]
    noise = torch.randn_like(x)
    snr = (bar / (1 - bar).clamp_min(1e-8)).flatten()
    weight = (snr.clamp_max(GAMMA) / (snr + 1)).clamp_min(0.05)
    noisy = bar.sqrt() * x + (1 - bar).sqrt() * noise
    return Batch(noisy, steps, words, bar.sqrt() * noise - (1 - bar).sqrt() * x, weight / weight.mean())


def diffusion_loss(unet: UNet2DConditionModel, batch: Batch, part: slice) -> Tensor:
    """Weighted v-prediction loss of a part of the batch."""
    with autocast(batch.noisy.device):
        made = unet(batch.noisy[part], batch.steps[part], batch.words[part]).sample.float()
    return ((made - batch.target[part]).square().mean((1, 2, 3)) * batch.weight[part]).mean()


def train_unet(
    data: Latents,
    text: CLIPTextModel,
    recipe: Recipe,
    out: Path,
    minutes: float,
    seed: int,
    device: torch.device,
    look: Callable[[UNet2DConditionModel], None] | None = None,
) -> UNet2DConditionModel:
    """Train (or go on training) the UNet for `minutes` and return it with averaged weights.

    `look` is called with an averaged UNet at every checkpoint, outside the budget.
    """
    torch.manual_seed(seed + 2)
    unet = new_unet(recipe).to(device)
    average = Average(unet)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    parts = {"model": unet, "average": average, "optimizer": optimizer}
    journal = Journal(out / "log.csv", "unet", minutes)
    journal.resume(load_state(out / "unet.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 3])
    torch.manual_seed(seed + 3 + journal.step)
    schedule = DDPMScheduler(**SCHEDULE).alphas_cumprod.to(device)
    saved = time.monotonic()
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * journal.rate(warm=200)
        x, words = _batch(data, text, recipe.unet_batch, rng, device)
        batch = noised(x, words, schedule)
        loss = backward(lambda part, b=batch: diffusion_loss(unet, b, part), len(x), recipe.threads)  # type: ignore[misc]
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update(unet)
        journal.note(loss)
        if time.monotonic() - saved > SAVE_EVERY or journal.over():
            save_state(out / "unet.pt", parts, journal)
            if look:
                look(averaged(recipe, average, device))
            journal.pause()
            saved = time.monotonic()
    return averaged(recipe, average, device)


def averaged(recipe: Recipe, average: Average, device: torch.device) -> UNet2DConditionModel:
    """A UNet holding the averaged weights."""
    unet = new_unet(recipe).to(device)
    unet.load_state_dict(average.shadow)
    return unet.eval()


@torch.no_grad()
def _batch(
    data: Latents, text: CLIPTextModel, size: int, rng: np.random.Generator, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Sampled latents (n, 4, h, w) and word states (n, length, width) of one batch."""
    rows = torch.from_numpy(rng.integers(0, len(data.means), size))
    which = torch.from_numpy(rng.integers(0, data.tokens.shape[1], size))
    ids = data.tokens[rows, which].long()
    ids[torch.from_numpy(rng.random(size) < DROP)] = data.nothing.long()
    mean = data.means[rows].to(device).float()
    x = mean + data.deviations[rows].to(device).float() * torch.randn_like(mean)
    with autocast(device):
        words = text(ids.to(device)).last_hidden_state
    return x, words.float()
