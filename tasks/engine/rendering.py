"""Draws batches of images, each with its own adapter, prompt and seed, through diffusers' own pipelines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self

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

from configs.schema import GenerationConfig
from tasks.engine.bank import AdapterBank, TextPart
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, concatenate, encode_negative, encode_prompt, zeros_for_nothing
from tasks.engine.guides import Guide, guided_call
from tasks.engine.lora_file import TEXT, LoraWeights, read_lora
from tasks.engine.text import encode, tokenize

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
    """One image. `adapter` is a key of the adapters given to `render`, or empty for the plain base model.

    With a `guide`, whose picture is as large as the image, the model does not begin with noise alone.
    """

    prompt: str
    negative_prompt: str
    seed: int
    adapter: str = ""
    guide: Guide | None = None


@dataclass(frozen=True)
class RenderSettings:
    """What all images of a call share. `scheduler` is "checkpoint" or a key of SCHEDULERS; sides are multiples of 8."""

    steps: int
    guidance: float
    scheduler: str
    width: int
    height: int

    @classmethod
    def of(cls, generation: GenerationConfig, resolution: int) -> Self:
        """How square images are drawn in a run."""
        return cls(generation.steps, generation.guidance, generation.scheduler, resolution, resolution)


class Texts:
    """The embeddings of a call's prompts: each text is encoded once for all adapters that read it alike."""

    def __init__(self, base: BaseModel) -> None:
        self.base = base
        self.known: dict[tuple[str, str, bool], Conditioning] = {}

    @torch.no_grad()
    def read(
        self, bank: AdapterBank | None, slot: int, reader: str, learned: tuple[str, int], prompt: str, negative: bool
    ) -> Conditioning:
        """A prompt as the adapter in the bank's slot reads it; `reader` is its key, or empty where it reads as the base
        model does, and `learned` its word and number of tokens."""
        key = (reader, prompt, negative)
        if key not in self.known:
            if bank is None or not reader or (negative and not prompt and zeros_for_nothing(self.base)):
                with nullcontext() if bank is None else bank.disabled():
                    self.known[key] = (encode_negative if negative else encode_prompt)(self.base, prompt)
            else:
                with bank.routed(torch.tensor([slot], device=self.base.device)):
                    self.known[key] = encode(self.base, bank, [tokenize(self.base, prompt, *learned)])
        return self.known[key]


@dataclass(frozen=True)
class Reader:
    """Who reads a request's prompts: a slot of the bank, a key, and the word that stands for learned tokens.

    The key is empty for adapters that leave the text encoders as they are.
    """

    slot: int
    key: str = ""
    word: str = ""
    tokens: int = 0


def render(
    base: BaseModel,
    requests: list[RenderRequest],
    settings: RenderSettings,
    adapters: dict[str, bytes],
    batch_size: int,
    arrived: Callable[[int, NDArray[np.uint8] | None], None] = lambda number, image: None,
) -> list[NDArray[np.uint8] | None]:
    """One uint8 image (height, width, 3) per request, in their order; None where the pixels were not finite.

    `arrived` is told a request's number and its image as soon as its batch is drawn. `adapters` holds LoRA files by
    key. An image depends on its request, its adapter and the settings alone: batches may mix adapters, and neighbours
    change it by rounding at most.
    """
    images: dict[int, NDArray[np.uint8] | None] = {}
    with base.lock, scheduled(base, settings.scheduler):
        texts = Texts(base)
        loras = {key: read_lora(data) for key, data in adapters.items()}
        for batch in _batches(requests, loras, batch_size):
            drawn = _render_batch(base, [requests[number] for number in batch], settings, loras, texts)
            images |= zip(batch, drawn, strict=True)
            for number in batch:
                arrived(number, images[number])
    return [images[number] for number in range(len(requests))]


def _batches(requests: list[RenderRequest], loras: dict[str, LoraWeights], batch_size: int) -> list[list[int]]:
    """The requests' numbers in batches of one pipeline; adapters that replace weights have batches of their own."""
    whole = {key for key, lora in loras.items() if lora.differences}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, request in enumerate(requests):
        own = request.adapter if request.adapter in whole else ""
        groups.setdefault((own, request.guide and request.guide.manner), []).append(number)
    return [
        group[start : start + batch_size] for group in groups.values() for start in range(0, len(group), batch_size)
    ]


def _render_batch(
    base: BaseModel,
    requests: list[RenderRequest],
    settings: RenderSettings,
    loras: dict[str, LoraWeights],
    texts: Texts,
) -> list[NDArray[np.uint8] | None]:
    used = sorted({request.adapter for request in requests} - {""})
    if not used:
        return draw_batch(base, None, [Reader(0)] * len(requests), requests, settings, texts)
    if loras[used[0]].differences:
        with _with_differences(base, loras[used[0]]):
            return draw_batch(base, None, [_reader(0, used[0], loras)] * len(requests), requests, settings, texts)
    slots = [*used, ""]  # the last slot stays empty: the base model
    with _bank_for(base, [loras[key] for key in used], len(slots)) as bank:
        for slot, key in enumerate(used):
            bank.load(slot, loras[key])
        readers = [_reader(slots.index(request.adapter), request.adapter, loras) for request in requests]
        return draw_batch(base, bank, readers, requests, settings, texts)


@contextmanager
def _with_differences(base: BaseModel, lora: LoraWeights) -> Iterator[None]:
    """The base model is the SKU's own inside, and to the bit what it was afterwards."""
    parameters = base.parameters()
    kept = {name: parameters[name].detach().clone() for name in lora.differences}
    try:
        for name, difference in lora.differences.items():
            parameters[name].data.add_(difference.to(parameters[name].data))
        yield
    finally:
        for name, value in kept.items():
            parameters[name].data.copy_(value)


def _bank_for(base: BaseModel, loras: list[LoraWeights], slots: int) -> AdapterBank:
    """A bank that holds any of the adapters."""
    targets = tuple(sorted({target for lora in loras for target in lora.targets}))
    tokens = max((len(rows) for lora in loras for rows in lora.tokens.values()), default=0)
    deep = any(name.startswith(TEXT) for lora in loras for name in lora.modules)
    text = TextPart(base.text_encoders, deep, tokens) if any(lora.changes_text for lora in loras) else None
    return AdapterBank(base.unet, slots, max(lora.rank for lora in loras), targets, text)


def _reader(slot: int, key: str, loras: dict[str, LoraWeights]) -> Reader:
    if not key or not loras[key].changes_text:
        return Reader(slot)
    return Reader(slot, key, loras[key].word, max(map(len, loras[key].tokens.values()), default=0))


def draw_batch(
    base: BaseModel,
    bank: AdapterBank | None,
    readers: list[Reader],
    requests: list[RenderRequest],
    settings: RenderSettings,
    texts: Texts,
) -> list[NDArray[np.uint8] | None]:
    """One batch with the adapters in the bank's slots, one reader per request."""
    both = list(zip(readers, requests, strict=True))

    def read(reader: Reader, prompt: str, negative: bool) -> Conditioning:
        return texts.read(bank, reader.slot, reader.key, (reader.word, reader.tokens), prompt, negative)

    positive = concatenate([read(reader, request.prompt, False) for reader, request in both])
    negative = concatenate([read(reader, request.negative_prompt, True) for reader, request in both])
    if bank is None:
        return _denoise(base, requests, settings, positive, negative)
    slots = [reader.slot for reader in readers]
    distilled = base.unet.config.time_cond_proj_dim is not None  # guidance is an input of such a UNet
    guided = slots * 2 if settings.guidance > 1 and not distilled else slots  # the unconditional half comes first
    with bank.routed(torch.tensor(guided, device=base.device)):
        return _denoise(base, requests, settings, positive, negative)


@torch.no_grad()
def _denoise(
    base: BaseModel,
    requests: list[RenderRequest],
    settings: RenderSettings,
    positive: Conditioning,
    negative: Conditioning,
) -> list[NDArray[np.uint8] | None]:
    extra = {}
    if positive.pooled is not None:
        extra = {"pooled_prompt_embeds": positive.pooled, "negative_pooled_prompt_embeds": negative.pooled}
    guides = [request.guide for request in requests if request.guide]  # of all in a batch, or of none
    if guides:
        pipeline, more = guided_call(base, guides, settings.steps)
    else:
        pipeline, more = base.pipeline, {"width": settings.width, "height": settings.height}
    latents = pipeline(
        prompt_embeds=positive.embeds,
        negative_prompt_embeds=negative.embeds,
        generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        output_type="latent",
        **more,
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


class scheduled:
    """The pipeline under another scheduler, made anew from the checkpoint's own settings."""

    def __init__(self, base: BaseModel, name: str) -> None:
        self.pipeline, self.own = base.pipeline, base.pipeline.scheduler
        kind, options = SCHEDULERS.get(name, (type(self.own), {}))
        if name == "dpm" and self.own.config.get("rescale_betas_zero_snr"):
            options = options | {"use_karras_sigmas": False}  # they would be spent where there is nothing but noise
        self.chosen = kind.from_config(self.own.config, **options)

    def __enter__(self) -> None:
        self.pipeline.scheduler = self.chosen

    def __exit__(self, *error: object) -> None:
        self.pipeline.scheduler = self.own
