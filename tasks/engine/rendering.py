"""Draws batches of images, each with its own adapter, prompt and seed, through diffusers' own pipelines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from numpy.typing import NDArray
from torch import Tensor

from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, concatenate, encode_negative, encode_prompts
from tasks.engine.lora_file import LoraWeights, read_lora

RENDERER_VERSION = 1  # part of a variant's identity: raise it when the same variant would give other pixels
DECODE_ROWS = 4  # images decoded at once: more can overflow the VAE's 32-bit index at 1024 x 1024
SCHEDULERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpm": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "use_karras_sigmas": True}),
    "unipc": (UniPCMultistepScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "ddim": (DDIMScheduler, {}),
    "lcm": (LCMScheduler, {}),
}


@dataclass(frozen=True)
class RenderRequest:
    """One image. `adapter` is a key of the adapters given to `render`, or empty for the plain base model."""

    prompt: str
    negative_prompt: str
    seed: int
    adapter: str = ""


@dataclass(frozen=True)
class RenderSettings:
    """What all images of a call share. `scheduler` is "checkpoint" or a key of SCHEDULERS; sides are multiples of 8."""

    steps: int
    guidance: float
    scheduler: str
    width: int
    height: int


@dataclass(frozen=True)
class Texts:
    """The embeddings of a call's prompts and of its negative prompts, by their words."""

    positive: dict[str, Conditioning]
    negative: dict[str, Conditioning]


def render(
    base: BaseModel,
    requests: list[RenderRequest],
    settings: RenderSettings,
    adapters: dict[str, bytes],
    batch_size: int,
    progress: Callable[[int, int], None],
) -> list[NDArray[np.uint8] | None]:
    """One uint8 image (height, width, 3) per request, in their order; None where the pixels were not finite.

    `adapters` holds LoRA files by key. An image depends on its request, its adapter and the settings alone: batches
    may mix adapters, and neighbours change it by rounding at most.
    """
    images: list[NDArray[np.uint8] | None] = []
    with base.lock, scheduled(base, settings.scheduler):
        texts = encode_texts(base, requests)
        loras = {key: read_lora(data) for key, data in adapters.items()}
        for start in range(0, len(requests), batch_size):
            images += _render_batch(base, requests[start : start + batch_size], settings, loras, texts)
            progress(len(images), len(requests))
    return images


def _render_batch(
    base: BaseModel,
    requests: list[RenderRequest],
    settings: RenderSettings,
    loras: dict[str, LoraWeights],
    texts: Texts,
) -> list[NDArray[np.uint8] | None]:
    used = sorted({request.adapter for request in requests} - {""})
    if not used:
        return _denoise(base, requests, settings, texts)
    rank = max(loras[key].rank for key in used)
    targets = tuple(sorted({target for key in used for target in loras[key].targets}))
    slots = [*used, ""]  # the last slot stays empty: the base model
    with AdapterBank(base.unet, len(slots), rank, targets) as bank:
        for slot, key in enumerate(used):
            bank.load(slot, loras[key])
        return draw_batch(base, bank, [slots.index(request.adapter) for request in requests], requests, settings, texts)


def draw_batch(
    base: BaseModel,
    bank: AdapterBank,
    slots: list[int],
    requests: list[RenderRequest],
    settings: RenderSettings,
    texts: Texts,
) -> list[NDArray[np.uint8] | None]:
    """One batch with the adapters in the bank's `slots`, one slot per request."""
    distilled = base.unet.config.time_cond_proj_dim is not None  # guidance is an input of such a UNet
    guided = slots * 2 if settings.guidance > 1 and not distilled else slots  # the unconditional half comes first
    with bank.routed(torch.tensor(guided, device=base.device)):
        return _denoise(base, requests, settings, texts)


@torch.no_grad()
def _denoise(
    base: BaseModel, requests: list[RenderRequest], settings: RenderSettings, texts: Texts
) -> list[NDArray[np.uint8] | None]:
    positive = concatenate([texts.positive[request.prompt] for request in requests])
    negative = concatenate([texts.negative[request.negative_prompt] for request in requests])
    extra = {}
    if positive.pooled is not None:
        extra = {"pooled_prompt_embeds": positive.pooled, "negative_pooled_prompt_embeds": negative.pooled}
    latents = base.pipeline(
        prompt_embeds=positive.embeds,
        negative_prompt_embeds=negative.embeds,
        generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        width=settings.width,
        height=settings.height,
        output_type="latent",
        **extra,
    ).images
    return decode_latents(base, latents)


def decode_latents(base: BaseModel, latents: Tensor) -> list[NDArray[np.uint8] | None]:
    """Latents (rows, channels, h, w) to uint8 images; None for a row whose pixels are not finite."""
    vae_dtype = next(base.vae.parameters()).dtype
    images: list[NDArray[np.uint8] | None] = []
    for chunk in (latents / base.vae.config.scaling_factor).to(vae_dtype).split(DECODE_ROWS):
        pixels = base.vae.decode(chunk, return_dict=False)[0]
        finite = pixels.isfinite().flatten(1).all(1).tolist()
        bytes_ = ((pixels.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        images += [image if good else None for image, good in zip(bytes_, finite, strict=True)]
    return images


def encode_texts(base: BaseModel, requests: list[RenderRequest]) -> Texts:
    """Each text once, however many images it serves."""
    prompts, negatives = {r.prompt for r in requests}, {r.negative_prompt for r in requests}
    return Texts(
        {text: encode_prompts(base, [text]) for text in sorted(prompts)},
        {text: encode_negative(base, text) for text in sorted(negatives)},
    )


class scheduled:
    """The pipeline under another scheduler, made anew from the checkpoint's own settings."""

    def __init__(self, base: BaseModel, name: str) -> None:
        self.pipeline, self.own = base.pipeline, base.pipeline.scheduler
        kind, options = SCHEDULERS.get(name, (type(self.own), {}))
        self.chosen = kind.from_config(self.own.config, **options)

    def __enter__(self) -> None:
        self.pipeline.scheduler = self.chosen

    def __exit__(self, *error: object) -> None:
        self.pipeline.scheduler = self.own
