"""Type names for the model's parts: diffusers exports its classes lazily, and mypy sees none of their members."""

from typing import Any

Vae = Any  # diffusers.AutoencoderKL
Unet = Any  # diffusers.UNet2DConditionModel
ControlNet = Any  # diffusers.ControlNetModel
Pipeline = Any  # diffusers.StableDiffusionPipeline
Clip = Any  # transformers.CLIPModel
TextTower = Any  # transformers.CLIPTextModel
