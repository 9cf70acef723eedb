"""Trains the demo model's ControlNet: where the edges of a drawing are, the UNet is to put those of its picture."""

import copy
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from infra.demo.denoiser import (
    SAVE_EVERY,
    Average,
    Batch,
    Latents,
    Painter,
    descend,
    noise_schedule,
    noised,
    pick,
    weighted_error,
)
from infra.demo.export import render
from infra.demo.parts import ControlNet, Pipeline, Unet
from infra.demo.progress import Journal, autocast, backward, load_state, save_state
from infra.demo.recipes import Recipe
from tasks.imaging.edges import canny_edges

DROP = 0.5  # of the captions: edges must say something by themselves
RATE = 5e-4


def edges(images: np.ndarray) -> np.ndarray:
    """Canny edges (n, h, w) uint8, 0 or 255, of pictures (n, h, w, 3) uint8."""
    return np.stack([canny_edges(image).astype(np.uint8) * 255 for image in images])


def new_controlnet(unet: Unet) -> ControlNet:
    """A ControlNet that begins as the UNet's own way down, without the attention in the middle (Zhang et al. 2023).

    Its condition has one channel, as large as the picture: two strides bring it to latents four times smaller.
    """
    config = unet.config
    control: ControlNet = ControlNetModel(
        in_channels=config.in_channels,
        conditioning_channels=1,
        down_block_types=config.down_block_types,
        mid_block_type="UNetMidBlock2D",
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        cross_attention_dim=config.cross_attention_dim,
        attention_head_dim=config.attention_head_dim,
        norm_num_groups=config.norm_num_groups,
        conditioning_embedding_out_channels=(16, 32, 64),
    )
    own = control.state_dict()
    control.load_state_dict(own | {name: weight for name, weight in unet.state_dict().items() if name in own})
    return control


def train_controlnet(
    data: Latents, drawings: np.ndarray, painter: Painter, begin: ControlNet, recipe: Recipe, out: Path,
    minutes: float, seed: int, device: torch.device,
) -> ControlNet:  # fmt: skip
    """Train (or go on training) a ControlNet, from `begin`, for `minutes` beside the painter, which stays as it is.

    `drawings` are the edges (n, h, w) of the photographs whose latents `data` holds, in their order.
    """
    painter = painter.to(device).eval().requires_grad_(False)
    control = copy.deepcopy(begin).train().to(device)
    average = Average(control, decay=0.999)
    optimizer = torch.optim.AdamW(control.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    parts = {"model": control, "average": average, "optimizer": optimizer}
    journal = Journal(out / "log.csv", "controlnet", minutes)
    journal.resume(load_state(out / "controlnet.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 6])
    torch.manual_seed(seed + 6 + journal.step)
    schedule, saved = noise_schedule(device), time.monotonic()
    drawn = torch.from_numpy(drawings).to(device)
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = RATE * journal.rate(warm=50)
        picked = pick(data, recipe.unet_batch, rng, DROP)
        batch, shown = noised(picked, schedule), as_condition(drawn[picked.rows])
        loss = backward(partial(control_loss, painter, control, batch, shown), recipe.unet_batch, recipe.threads)
        descend(control, optimizer, average)
        journal.note(loss)
        if time.monotonic() - saved > SAVE_EVERY or journal.over():
            save_state(out / "controlnet.pt", parts, journal)
            saved = time.monotonic()
    control.load_state_dict(average.shadow)
    return control.eval()


def control_loss(painter: Painter, control: ControlNet, batch: Batch, drawn: Tensor, part: slice) -> Tensor:
    """Weighted v-prediction loss of a part of the batch, with its drawings (n, 1, height, width) in [0, 1]."""
    noisy, steps = batch.noisy[part], batch.steps[part]
    with autocast(noisy.device):
        words = painter.text(batch.tokens[part]).last_hidden_state
        down, middle = control(noisy, steps, words, controlnet_cond=drawn[part], return_dict=False)
        more = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        made = painter.unet(noisy, steps, words, **more).sample.float()
    return weighted_error(made, batch, part)


def as_condition(drawings: Tensor) -> Tensor:
    """Drawings (n, h, w) uint8 as a ControlNet takes them: (n, 1, h, w) in [0, 1]."""
    return drawings[:, None].float() / 255


def draw_over(pipe: Pipeline, control: ControlNet, prompts: list[str], drawings: np.ndarray) -> np.ndarray:
    """Pictures (n, size, size, 3) uint8 of the prompts along edges (n, size, size); picture i has seed i."""
    guided: Pipeline = StableDiffusionControlNetPipeline(
        **pipe.components, controlnet=control, requires_safety_checker=False
    )
    guided.set_progress_bar_config(disable=True)
    along = as_condition(torch.from_numpy(drawings))
    return np.concatenate(
        [
            render(guided, prompts[at : at + 20], list(range(at, len(prompts)))[:20], 10, image=along[at : at + 20])
            for at in range(0, len(prompts), 20)
        ]
    )


def edge_agreement(drawings: np.ndarray, images: np.ndarray, pixels: float = 2.0) -> float:
    """The mean F-measure of edges (n, h, w) against those of pictures (n, h, w, 3), which match within `pixels`.

    As in the Berkeley benchmark of boundaries (Martin et al. 2004), without its one-to-one assignment.
    """
    scores = []
    for wanted, found in zip(drawings > 0, edges(images) > 0, strict=True):
        if not wanted.any() or not found.any():
            scores.append(0.0)
            continue
        recall = (distance_transform_edt(~found)[wanted] <= pixels).mean()
        precision = (distance_transform_edt(~wanted)[found] <= pixels).mean()
        scores.append(2 * precision * recall / max(precision + recall, 1e-9))
    return float(np.mean(scores))
