"""Stable Diffusion 1.5 and SDXL as they are in size and shape, with random weights: all that a clock needs of them.

The numbers are those of the published configurations. What such a model draws is noise.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.models.tiny import BETAS, tiny_tokenizer

PARAMETERS = {"sd15": 859_520_964, "sdxl": 2_567_463_684}  # of the UNet
UNETS: dict[str, dict[str, Any]] = {
    "sd15": {
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (5, 10, 20),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}


def build(name: str, folder: Path, device: torch.device) -> Path:
    """Writes a pipeline folder in float16; the weights are torch's own start for each layer, drawn on `device`."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    with device:
        unet = UNet2DConditionModel(**UNETS[name]).half()
        vae = _vae(*((64, 0.18215) if name == "sd15" else (128, 0.13025))).half()
        text = CLIPTextModel(_text(768, 12, "quick_gelu")).half()
        second = CLIPTextModelWithProjection(_text(1280, 32, "gelu")).half() if name == "sdxl" else None
    assert sum(weight.numel() for weight in unet.parameters()) == PARAMETERS[name]
    parts = {"unet": unet, "vae": vae, "text_encoder": text, "tokenizer": tiny_tokenizer(folder / "words")}
    if second is None:
        noise = PNDMScheduler(**BETAS, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)
        bare = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        StableDiffusionPipeline(**parts, scheduler=noise, **bare).save_pretrained(folder)
    else:
        euler = EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1)
        others = {"text_encoder_2": second, "tokenizer_2": tiny_tokenizer(folder / "words")}
        StableDiffusionXLPipeline(**parts, **others, scheduler=euler).save_pretrained(folder)
    return folder


def _vae(latents: int, scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=8 * latents,
        scaling_factor=scaling_factor,
    )


def _text(width: int, layers: int, activation: str) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=77,
        hidden_act=activation,
        projection_dim=width,
        bos_token_id=0,  # as the small tokenizer has them
        eos_token_id=1,
        pad_token_id=1,
    )
