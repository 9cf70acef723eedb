"""Trains the demo model's VAE: photographs to four latent channels and back."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from infra.demo.parts import Vae
from infra.demo.progress import Journal, autocast, backward, load_state, save_state
from infra.demo.recipes import Recipe

log = logging.getLogger(__name__)

HELD = 64  # photographs to measure with
CARRIED = 8  # channels that `start_linear` sets up
KL_WEIGHT = 1e-6
EDGE_WEIGHT = 0.4
TINT_WEIGHT = 2.0


def new_vae(recipe: Recipe) -> Vae:
    """An untrained VAE of the recipe's size; each channel step after the first halves the picture."""
    levels = len(recipe.vae_channels)
    vae: Vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.vae_channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,  # more groups would each forget their mean, and with it the picture's colours
        sample_size=recipe.size,
        mid_block_add_attention=False,
    )
    start_linear(vae)
    return vae


@torch.no_grad()
def start_linear(vae: Vae) -> None:
    """Start a VAE as a plain shrinking and enlarging of the picture, so that training only has to add detail.

    The first six channels carry the three colours and their negatives through all levels: silu(x) - silu(-x) = x,
    so the last layers hand them on unbent. Two constant channels keep the normalisation from depending on the picture.
    Three latent channels thus begin as the colours; the fourth, and every residual branch, is free to learn.
    """
    for half in (vae.encoder, vae.decoder):
        for name, module in half.named_modules():
            if name.endswith("conv2"):
                nn.init.zeros_(module.weight)
                nn.init.zeros_(module.bias)
            elif name.endswith("conv_shortcut"):
                _carry(module, 1.0)
            elif name.endswith("samplers.0.conv"):
                _carry(module, 0.25 if half is vae.encoder else 1.0)
        colours = half.conv_in.weight.shape[1]
        half.conv_in.weight[:CARRIED] = 0
        half.conv_in.bias[:CARRIED] = torch.tensor([0.0] * 6 + [4.0, -4.0])
        for k in range(min(3, colours)):
            half.conv_in.weight[k, k, 1, 1], half.conv_in.weight[k + 3, k, 1, 1] = 1.0, -1.0
        width = half.conv_out.weight.shape[1]
        spread = (2 * 16.0 / width) ** 0.5  # what the constant channels make of the normalisation's divisor
        for k in range(3):
            half.conv_out.weight[k] = 0
            half.conv_out.weight[k, k, 1, 1], half.conv_out.weight[k, k + 3, 1, 1] = spread, -spread
            half.conv_out.bias[k] = 0
    vae.encoder.conv_out.weight[4:] = 0
    vae.encoder.conv_out.bias[4:] = -6.0
    for conv in (vae.quant_conv, vae.post_quant_conv):
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)


def _carry(conv: Any, share: float) -> None:
    """Let a convolution hand its first channels on unchanged, or averaged over the pixels that it merges."""
    conv.weight[:CARRIED] = 0
    conv.bias[:CARRIED] = 0
    for k in range(CARRIED):
        if share == 1.0:
            conv.weight[k, k, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = 1.0
        else:
            conv.weight[k, k, :2, :2] = share


def as_tensor(images: np.ndarray, device: torch.device) -> Tensor:
    """Photographs (n, h, w, 3) uint8 as (n, 3, h, w) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def _edges(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[..., 1:, :] - x[..., :-1, :], x[..., 1:] - x[..., :-1]


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Error of pixels, of edges (rims stay sharp) and of small areas' mean colours (hues are learned early)."""
    loss = F.l1_loss(made, wanted) + F.mse_loss(made, wanted)
    loss = loss + TINT_WEIGHT * F.l1_loss(F.avg_pool2d(made, 4), F.avg_pool2d(wanted, 4))
    for a, b in zip(_edges(made), _edges(wanted), strict=True):
        loss = loss + EDGE_WEIGHT * F.l1_loss(a, b)
    return loss


def vae_loss(vae: Vae, x: Tensor) -> Tensor:
    """Reconstruction and a whiff of KL, which keeps the latents near zero without drowning them in noise."""
    with autocast(x.device):
        posterior = vae.encode(x).latent_dist
        made = vae.decode(posterior.sample()).sample
    return reconstruction_loss(made.float(), x) + KL_WEIGHT * posterior.kl().float().mean() / posterior.mean[0].numel()


def train_vae(images: np.ndarray, recipe: Recipe, out: Path, minutes: float, seed: int, device: torch.device) -> Vae:
    """Train (or go on training) the VAE for `minutes`; checkpoints and the journal lie in `out`."""
    torch.manual_seed(seed)
    vae = new_vae(recipe).to(device)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-4)
    journal = Journal(out / "log.csv", "vae", minutes)
    journal.resume(load_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, device))
    rng = np.random.default_rng([seed, journal.step, 1])
    held = as_tensor(images[-HELD:], device)
    saved = time.monotonic()
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * journal.rate(warm=100)
        x = as_tensor(images[rng.integers(0, len(images) - HELD, recipe.vae_batch)], device)
        if rng.random() < 0.5:
            x = x.flip(-1)
        loss = backward(lambda part, x=x: vae_loss(vae, x[part]), len(x), recipe.threads)  # type: ignore[misc]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss)
        if time.monotonic() - saved > 120:
            save_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, journal)
            saved = time.monotonic()
            log.info("vae PSNR %.2f", psnr(vae, held))
    save_state(out / "vae.pt", {"model": vae, "optimizer": optimizer}, journal)
    log.info("vae PSNR %.2f", psnr(vae, held))
    return vae.eval()


def refine_decoder(
    vae: Vae,
    images: np.ndarray,
    latents: Tensor,
    recipe: Recipe,
    out: Path,
    minutes: float,
    seed: int,
    device: torch.device,
) -> None:
    """Go on training the decoder alone for `minutes`, in place, on unscaled latents (n, 4, h, w) of the photographs.

    The encoder stays as it is, so that a UNet may be training on its latents meanwhile. A little noise on the latents
    makes the decoder forgive what a UNet gets wrong.
    """
    learns = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    optimizer = torch.optim.AdamW(learns, lr=1e-3, betas=(0.9, 0.95), weight_decay=1e-4)
    journal = Journal(out / "log.csv", "decoder", minutes)
    parts = {"model": vae, "optimizer": optimizer}
    journal.resume(load_state(out / "decoder.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 6])
    spread = latents.float().std((0, 2, 3))[None, :, None, None].to(device)
    held, saved = as_tensor(images[-HELD:], device), time.monotonic()

    def loss_of(z: Tensor, x: Tensor) -> Tensor:
        with autocast(device):
            made = vae.decode(z).sample
        return reconstruction_loss(made.float(), x)

    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * journal.rate(warm=50)
        rows = rng.integers(0, len(images) - HELD, recipe.vae_batch)
        x, z = as_tensor(images[rows], device), latents[torch.from_numpy(rows)].to(device).float()
        z = z + spread * torch.randn_like(z) * 0.04
        loss = backward(lambda part, z=z, x=x: loss_of(z[part], x[part]), len(x), recipe.threads)  # type: ignore[misc]
        torch.nn.utils.clip_grad_norm_(learns, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss)
        if time.monotonic() - saved > 120 or journal.over():
            save_state(out / "decoder.pt", parts, journal)
            saved = time.monotonic()
            log.info("decoder PSNR %.2f", psnr(vae, held))


@torch.inference_mode()
def psnr(vae: Vae, x: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of photographs (n, 3, h, w) against their reconstructions."""
    made = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
    return float(10 * torch.log10(4.0 / (made - x).square().mean((1, 2, 3))).mean())


@torch.inference_mode()
def encode_all(vae: Vae, images: np.ndarray, device: torch.device, workers: int) -> Tensor:
    """All photographs' latent means (n, 4, h, w), unscaled, float16 on the CPU."""
    some = 32 if device.type == "cpu" else 256

    def encode(at: int) -> Tensor:
        with torch.inference_mode(), autocast(device):
            return vae.encode(as_tensor(images[at : at + some], device)).latent_dist.mean.to("cpu", torch.float16)

    with ThreadPoolExecutor(workers) as pool:
        return torch.cat(list(pool.map(encode, range(0, len(images), some))))
