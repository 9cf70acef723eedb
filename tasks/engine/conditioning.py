"""Prompts as the UNet takes them: computed once per text, for either family."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.engine.base_model import BaseModel
from tasks.engine.transfer import to_device


@dataclass(frozen=True)
class Conditioning:
    """Embeddings of prompts: `embeds` (rows, tokens, width), `pooled` (rows, width) for SDXL, else None."""

    embeds: Tensor
    pooled: Tensor | None

    def repeat_each(self, count: int) -> "Conditioning":
        """Every row `count` times, rows of one prompt staying together."""
        pooled = None if self.pooled is None else self.pooled.repeat_interleave(count, 0)
        return Conditioning(self.embeds.repeat_interleave(count, 0), pooled)

    def rows(self, index: Tensor) -> "Conditioning":
        """The rows in `index`."""
        return Conditioning(self.embeds[index], None if self.pooled is None else self.pooled[index])


def concatenate(parts: list[Conditioning]) -> Conditioning:
    """All rows, in order."""
    pooled = [part.pooled for part in parts if part.pooled is not None]
    return Conditioning(torch.cat([part.embeds for part in parts]), torch.cat(pooled) if pooled else None)


@torch.no_grad()
def encode_negative(base: BaseModel, prompt: str) -> Conditioning:
    """The negative prompt's embeddings. An empty one means "none", which many SDXL checkpoints take as zeros."""
    text = encode_prompt(base, prompt)
    if prompt or text.pooled is None or not zeros_for_nothing(base):
        return text
    return Conditioning(torch.zeros_like(text.embeds), torch.zeros_like(text.pooled))


def zeros_for_nothing(base: BaseModel) -> bool:
    """Whether the checkpoint takes zeros for an empty negative prompt."""
    return bool(base.pipeline.config.get("force_zeros_for_empty_prompt"))


@torch.no_grad()
def encode_prompt(base: BaseModel, prompt: str) -> Conditioning:
    """One row, from the pipeline's own encoder; over-long prompts are cut as diffusers cuts them."""
    if base.family == "sd":
        embeds, _ = base.pipeline.encode_prompt(prompt, base.device, 1, False)
        return Conditioning(embeds, None)
    embeds, _, pooled, _ = base.pipeline.encode_prompt(
        prompt, device=base.device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    return Conditioning(embeds, pooled)


def predict(
    base: BaseModel, noisy: Tensor, timesteps: Tensor, text: Conditioning, unet: Callable[..., Any] | None = None
) -> Tensor:
    """The UNet's output for noisy latents (rows, channels, h, w) at `timesteps` (rows,).

    `unet` stands in for the base model's own: the same module, compiled.
    """
    extra: dict[str, Any] | None = None
    if text.pooled is not None:
        side = float(noisy.shape[-1] * base.latent_scale)
        sizes = to_device(torch.tensor([side, side, 0.0, 0.0, side, side], dtype=text.pooled.dtype), noisy.device)
        extra = {"text_embeds": text.pooled, "time_ids": sizes.repeat(len(noisy), 1)}
    denoise = base.unet if unet is None else unet
    output = denoise(noisy, timesteps, text.embeds, added_cond_kwargs=extra, return_dict=False)[0]
    assert isinstance(output, Tensor)
    return output
