"""Drawing over a picture, or along its edges, with the base model's own parts: diffusers' pipelines for both."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import (
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLImg2ImgPipeline,
)
from numpy.typing import NDArray

from tasks.engine.base_model import BaseModel
from tasks.engine.crops import encode_pictures

PIPELINES: dict[tuple[str, bool], Any] = {  # by the model's family, and whether there is a ControlNet
    ("sd", False): StableDiffusionImg2ImgPipeline,
    ("sd", True): StableDiffusionControlNetPipeline,
    ("sdxl", False): StableDiffusionXLImg2ImgPipeline,
    ("sdxl", True): StableDiffusionXLControlNetPipeline,
}


@dataclass(frozen=True, eq=False)
class Guide:
    """What an image is drawn over, or along.

    Without a ControlNet, `picture` is where the image begins, and `strength` the share of the steps that are drawn
    anew. With one, it has white edges on black, and `strength` is how much they count. uint8 (height, width, 3).
    """

    picture: NDArray[np.uint8]
    strength: float
    controlnet: Any = None

    @property
    def manner(self) -> tuple[int, float]:
        """What all guides of a batch have in common."""
        return id(self.controlnet), self.strength


def guided_call(base: BaseModel, guides: list[Guide], steps: int) -> tuple[Any, dict[str, Any]]:
    """The pipeline that draws a batch so guided, and what it takes besides prompts, seeds, steps and guidance.

    It has the scheduler that the base model's pipeline has now.
    """
    control, strength = guides[0].controlnet, guides[0].strength
    options = {"requires_safety_checker": False} if base.family == "sd" else {"add_watermarker": False}
    parts = base.pipeline.components | ({} if control is None else {"controlnet": control})
    pipeline = PIPELINES[base.family, control is not None](**parts, **options)
    pipeline.set_progress_bar_config(disable=True)
    pictures = torch.stack([torch.from_numpy(guide.picture).permute(2, 0, 1) for guide in guides]).float() / 255
    if control is None:
        latents = encode_pictures(base, pictures * 2 - 1)[0]  # the posterior's mean: an image has no second seed
        return pipeline, {"image": latents, "strength": min(1.0, max(strength, 1.0001 / steps))}  # one step at least
    lines = pictures[:, : control.config.conditioning_channels]  # edges are the same in all channels
    return pipeline, {"image": lines.to(control.device, control.dtype), "controlnet_conditioning_scale": strength}
