"""Trains the demo model's VAE: photographs to four latent channels and back."""

import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from infra.demo.progress import Journal, autocast, load_state, save_state
from infra.demo.recipes import Recipe

log = logging.getLogger(__name__)

KL_WEIGHT = 2e-4
EDGE_WEIGHT = 0.5


def new_vae(recipe: Recipe) -> AutoencoderKL:
    """An untrained VAE of the recipe's size; each channel step after the first halves the picture."""
    levels = len(recipe.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.vae_channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=recipe.size,
        mid_block_add_attention=False,
    )


def as_tensor(images: np.ndarray, device: torch.device) -> Tensor:
    """Photographs (n, h, w, 3) uint8 as (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error of pixels and of edges, so that labels and rims stay sharp."""
    loss = F.l1_loss(made, wanted) + 0.5 * F.mse_loss(made, wanted)
    for a, b in zip(_edges(made), _edges(wanted), strict=True):
        loss = loss + EDGE_WEIGHT * F.l1_loss(a, b)
    return loss


def train_vae(
    images: np.ndarray, recipe: Recipe, out: Path, minutes: float, seed: int, device: torch.device
) -> AutoencoderKL:
    """Train (or go on training) the VAE for `minutes`; checkpoints and the journal lie in `out`."""
    torch.manual_seed(seed)
    vae = new_vae(recipe).to(device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-4)
    journal = Journal(out / "log.csv", "vae", minutes)
    journal.resume(load_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, device))
    rng = np.random.default_rng([seed, journal.step, 1])
    held = as_tensor(images[-64:], device)
    saved = time.monotonic()
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * journal.rate(warm=100)
        x = as_tensor(images[rng.integers(0, len(images) - 64, recipe.vae_batch)], device)
        if rng.random() < 0.5:
            x = x.flip(-1)
        with autocast(device):
            posterior = vae.encode(x).latent_dist
            made = vae.decode(posterior.sample()).sample
        loss = reconstruction_loss(made.float(), x)
        total = loss + KL_WEIGHT * posterior.kl().float().mean() / posterior.mean[0].numel()
        total.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss.item())
        if time.monotonic() - saved > 120:
            save_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, journal)
            saved = time.monotonic()
            log.info("vae PSNR %.2f", psnr(vae, held))
    save_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, journal)
    log.info("vae PSNR %.2f", psnr(vae, held))
    return vae.eval()


@torch.inference_mode()
def psnr(vae: AutoencoderKL, x: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of photographs (n, 3, h, w) against their reconstructions."""
    made = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
    return float(10 * torch.log10(4.0 / (made - x).square().mean((1, 2, 3))).mean())


@torch.inference_mode()
def encode_all(vae: AutoencoderKL, images: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor]:
    """All photographs' latent means and deviations, unscaled, float16 on the CPU."""
    means, deviations = [], []
    for at in range(0, len(images), 64):
        with autocast(device):
            posterior = vae.encode(as_tensor(images[at : at + 64], device)).latent_dist
        means.append(posterior.mean.to("cpu", torch.float16))
        deviations.append(posterior.std.to("cpu", torch.float16))
    return torch.cat(means), torch.cat(deviations)
