"""A tiny Stable Diffusion and a tiny SDXL with seeded random weights: real pipelines, built in seconds, no network."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
)

RESOLUTION = 64
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def build_tiny_sd(folder: Path, prediction_type: str = "epsilon", levels: int = 1) -> Path:
    """Writes a StableDiffusionPipeline folder; 64 x 64 pixels, 8 x 8 latents; a UNet of one or two levels.

    A velocity model has no signal left at its last timestep, as those trained after arXiv:2305.08891 have.
    """
    torch.manual_seed(0)
    StableDiffusionPipeline(
        vae=_vae(0.18215),
        text_encoder=CLIPTextModel(_text_config(32)).eval(),
        tokenizer=tiny_tokenizer(folder / "words"),
        unet=UNet2DConditionModel(cross_attention_dim=32, attention_head_dim=4, **_unet_layout(levels)),
        scheduler=_scheduler(prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def build_tiny_sdxl(folder: Path) -> Path:
    """Writes a StableDiffusionXLPipeline folder with two text encoders and pooled conditioning."""
    torch.manual_seed(0)
    StableDiffusionXLPipeline(
        vae=_vae(0.13025),
        text_encoder=CLIPTextModel(_text_config(32)).eval(),
        text_encoder_2=CLIPTextModelWithProjection(_text_config(32)).eval(),
        tokenizer=tiny_tokenizer(folder / "words"),
        tokenizer_2=tiny_tokenizer(folder / "words"),
        unet=UNet2DConditionModel(
            cross_attention_dim=64,
            attention_head_dim=(2, 4),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=32 + 6 * 8,
            transformer_layers_per_block=(1, 2),
            **_unet_layout(2),
        ),
        scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
        force_zeros_for_empty_prompt=True,
    ).save_pretrained(folder, safe_serialization=True)
    return folder


def build_tiny_controlnet(folder: Path, model: Path, channels: int = 3) -> Path:
    """Writes a ControlNetModel folder for a model's UNet, one that heeds the picture it is given.

    A new one's last layers are zero, and the biases of those that read the picture are louder than the picture.
    """
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(model / "unet")
    made = ControlNetModel.from_unet(unet, conditioning_channels=channels)
    for layer in (*made.controlnet_down_blocks, made.controlnet_mid_block):
        torch.nn.init.normal_(layer.weight, std=0.5)
    picture = made.controlnet_cond_embedding
    torch.nn.init.normal_(picture.conv_out.weight)
    for layer in (picture.conv_in, *picture.blocks):
        torch.nn.init.zeros_(layer.bias)
    white = torch.ones(1, channels, 64, 64)
    with torch.no_grad():
        picture.conv_out.weight.div_((picture(white) - picture(0 * white)).std() / 5)
    made.save_pretrained(folder)
    return folder


def _scheduler(prediction_type: str) -> DDIMScheduler:
    if prediction_type == "epsilon":
        return DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    bare = {
        "rescale_betas_zero_snr": True,
        "steps_offset": 1,
        "timestep_spacing": "trailing",
        "prediction_type": prediction_type,
    }
    return DDIMScheduler(**BETAS, clip_sample=False, **bare)


def _unet_layout(levels: int) -> dict:
    return {
        "sample_size": 8,
        "block_out_channels": (32, 64)[:levels],
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D",) * levels,
        "up_block_types": ("CrossAttnUpBlock2D",) * levels,
        "norm_num_groups": 8,
    }


def _vae(scaling_factor: float) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=RESOLUTION,
        scaling_factor=scaling_factor,
    ).eval()


def _text_config(width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=1000,
        hidden_size=width,
        intermediate_size=width * 2,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=32,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def tiny_tokenizer(folder: Path) -> CLIPTokenizer:
    """Every byte a token, alone and at a word's end: any text is encodable, and texts stay distinct."""
    folder.mkdir(parents=True, exist_ok=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [256 + n for n in range(256 - len(printable))]
    symbols = [chr(code) for code in printable + others]
    words = ["<|startoftext|>", "<|endoftext|>", *symbols, *(symbol + "</w>" for symbol in symbols)]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return tokenizer


def build_tiny_clip(folder: Path) -> Path:
    """Writes a CLIPModel folder with its tokenizer and the preparation of images; 32 x 32 pixels."""
    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = CLIPTextConfig(vocab_size=1000, bos_token_id=0, eos_token_id=1, pad_token_id=1, **small)
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **small)
    CLIPModel(
        CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16)
    ).save_pretrained(folder)
    tiny_tokenizer(folder / "words").save_pretrained(folder)
    prepared = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (folder / "preprocessor_config.json").write_text(json.dumps(prepared))
    return folder
