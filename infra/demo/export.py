"""Assembles the trained parts into an ordinary Stable Diffusion folder that diffusers loads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ControlNetModel, DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer

from infra.demo.denoiser import SCHEDULE, Painter
from infra.demo.parts import Clip, ControlNet, Pipeline, TextTower, Vae
from infra.demo.towers import MEAN, STD

SAMPLER = {"algorithm_type": "dpmsolver++", "solver_order": 2, "lower_order_final": True, "final_sigmas_type": "zero"}
"""The default sampler: DPM-Solver++ needs few steps; see the model card for how many."""


@torch.no_grad()
def whiten(vae: Vae, means: Tensor) -> Tensor:
    """Rescale the VAE in place so that its latents have zero mean and unit deviation in every channel, and no noise.

    The change is exact: what the encoder's last convolution divides by, the decoder's first one multiplies by.
    `means` are latent means (n, 4, h, w) of the unchanged VAE; returns what they are afterwards. `scaling_factor` is 1
    then.
    """
    x = means.float()
    centre, spread = x.mean((0, 2, 3)), x.std((0, 2, 3))
    into, outof = vae.quant_conv, vae.post_quant_conv
    scale = torch.cat([1 / spread, torch.zeros(4)])
    into.weight *= scale.to(into.weight)[:, None, None, None]
    shift = torch.cat([-centre / spread, torch.full((4,), -14.0)])
    into.bias.copy_(into.bias * scale.to(into.bias) + shift.to(into.bias))
    outof.bias += (outof.weight[:, :, 0, 0] @ centre.to(outof.weight)).to(outof.bias)
    outof.weight *= spread.to(outof.weight)[None, :, None, None]
    vae.register_to_config(scaling_factor=1.0)
    return (x - centre[:, None, None]) / spread[:, None, None]


def text_model(clip: Clip) -> TextTower:
    """A copy of the CLIP's text tower in the form that pipelines use."""
    text: TextTower = CLIPTextModel(clip.config.text_config)
    state = clip.text_model.state_dict()
    wanted = text.state_dict().keys()
    text.load_state_dict({k: state[k] if k in state else state[k.removeprefix("text_model.")] for k in wanted})
    return text.eval()


def image_processor(size: int) -> CLIPImageProcessor:
    """The preparation of photographs for the image tower."""
    return CLIPImageProcessor(
        size={"height": size, "width": size}, do_center_crop=False, image_mean=list(MEAN), image_std=list(STD)
    )


def pipeline(vae: Vae, tokenizer: CLIPTokenizer, painter: Painter) -> Pipeline:
    """A ready pipeline in float32."""
    pipe: Pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=painter.text,
        tokenizer=tokenizer,
        unet=painter.unet,
        scheduler=DPMSolverMultistepScheduler(**SCHEDULE, **SAMPLER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@dataclass(frozen=True, slots=True)
class Parts:
    """All that a model folder holds."""

    vae: Vae
    clip: Clip
    tokenizer: CLIPTokenizer
    painter: Painter
    control: ControlNet | None = None


def load_parts(folder: Path) -> Parts:
    """The parts of a folder that `export` wrote, in float32."""
    pipe: Pipeline = StableDiffusionPipeline.from_pretrained(
        folder, use_safetensors=True, safety_checker=None, dtype=torch.float32
    )
    clip: Clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32)
    control: Any = ControlNetModel.from_pretrained(folder / "controlnet", dtype=torch.float32)
    return Parts(pipe.vae.eval(), clip.eval(), pipe.tokenizer, Painter(pipe.unet, pipe.text_encoder), control)


def export(parts: Parts, folder: Path) -> None:
    """Write the model folder in float16: the pipeline's parts, `controlnet/`, `clip/` with both towers, and
    `feature_extractor/`.

    `CLIPModel.from_pretrained(folder / "clip")` gives text and image similarity; its image tower alone loads as
    `CLIPVisionModelWithProjection.from_pretrained(folder / "clip")`. The parts given are converted in place.
    """
    clip, control = parts.clip, parts.control
    pipe = pipeline(parts.vae, parts.tokenizer, parts.painter)
    pipe.to("cpu", torch.float16).save_pretrained(folder, safe_serialization=True)
    if control is not None:
        control.to("cpu", torch.float16).save_pretrained(folder / "controlnet", safe_serialization=True)
    processor = image_processor(clip.config.vision_config.image_size)
    processor.save_pretrained(folder / "feature_extractor")
    processor.save_pretrained(folder / "clip")
    clip.to("cpu", torch.float16).save_pretrained(folder / "clip", safe_serialization=True)
    parts.tokenizer.save_pretrained(folder / "clip")
    for config in folder.glob("*/config.json"):
        _tidy(config)


def _tidy(config: Path) -> None:
    """Leave out where a part was loaded from, and let transformers' parts load as float32, as diffusers' do."""

    def tidied(told: Any) -> Any:
        if isinstance(told, dict):
            kept = {k: v for k, v in told.items() if k != "_name_or_path"}
            return {k: "float32" if k == "dtype" else tidied(v) for k, v in kept.items()}
        return told

    config.write_text(json.dumps(tidied(json.loads(config.read_text())), indent=2, sort_keys=True) + "\n")


@torch.inference_mode()
def render(
    pipe: Pipeline, prompts: list[str], seeds: list[int], steps: int = 12, guidance: float = 4.0, **given: Any
) -> np.ndarray:
    """Pictures (n, size, size, 3) uint8 of the prompts, one generator per picture; `given` is the pipeline's own."""
    generators = [torch.Generator().manual_seed(s) for s in seeds]
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    made = pipe(
        prompts,
        num_inference_steps=steps,
        guidance_scale=guidance,
        generator=generators,
        height=size,
        width=size,
        output_type="np",
        **given,
    ).images
    return (made * 255 + 0.5).astype(np.uint8)
