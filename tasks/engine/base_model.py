"""The frozen base model: loaded once per process, shared by everything that trains or renders on its device."""

import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from catalog_schemas.errors import ModelError, first_line
from tasks.engine.gated import slim
from tasks.engine.pipeline_folder import Family, check_pipeline

PIPELINES: dict[Family, Any] = {"sd": StableDiffusionPipeline, "sdxl": StableDiffusionXLPipeline}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
Loras = tuple[tuple[str, float], ...]  # files and weights
_loaded: dict[tuple[str, str, str, Loras, str], "BaseModel"] = {}
_controls: dict[tuple[str, torch.dtype, torch.device], Any] = {}
_loading = threading.Lock()


@dataclass(frozen=True, eq=False)
class BaseModel:
    """A diffusers pipeline whose weights are frozen, with the lock that keeps one thread at a time on its device.

    The lock matters since a pipeline's scheduler and the adapter bank's routing are state: two threads denoising
    with one pipeline spoil each other's images.
    """

    family: Family
    pipeline: Any
    device: torch.device
    dtype: torch.dtype
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def unet(self) -> Any:
        """The denoiser, a UNet2DConditionModel: the only part that adapters change."""
        return self.pipeline.unet

    @property
    def vae(self) -> Any:
        """The autoencoder between pixels and latents, an AutoencoderKL."""
        return self.pipeline.vae

    @property
    def text_encoders(self) -> dict[str, Any]:
        """The CLIP text models, under the names that LoRA files give them."""
        if self.family == "sd":
            return {"te": self.pipeline.text_encoder}
        return {"te1": self.pipeline.text_encoder, "te2": self.pipeline.text_encoder_2}

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """The UNet's by their own names, the text encoders' after the encoder's name and a dot."""
        named = dict(self.unet.named_parameters())
        for encoder, module in self.text_encoders.items():
            named |= {f"{encoder}.{name}": parameter for name, parameter in module.named_parameters()}
        return named

    @property
    def prediction(self) -> str:
        """What the UNet answers: "epsilon" or "v_prediction"."""
        return str(self.pipeline.scheduler.config.prediction_type)

    @property
    def kind(self) -> str:
        """Which Stable Diffusion it is: "sd1", "sd2", "sd2-v" (velocity) or "sdxl"; 2.x has wider texts than 1.x."""
        if self.family == "sdxl":
            return "sdxl"
        if self.unet.config.cross_attention_dim != 1024:
            return "sd1"
        return "sd2-v" if self.prediction == "v_prediction" else "sd2"

    @property
    def latent_scale(self) -> int:
        """Pixels of a side per latent."""
        return int(self.pipeline.vae_scale_factor)

    @property
    def resolution(self) -> int:
        """Pixels of a side that the model was trained for."""
        return int(self.unet.config.sample_size) * self.latent_scale


def load_base(
    folder: Path, precision: str = "auto", device: str = "auto", loras: Loras = (), variant: str = ""
) -> BaseModel:
    """The base model in a local diffusers folder; a second call with the same arguments returns the same object.

    `loras`, safetensors files and their weights, are added to its weights: a copy of its own. Only safetensors weights
    are read, those of the `variant`, and only the pipelines in `PIPELINES`; anything else raises ModelError.
    """
    target = pick_device(device)
    name = precision if precision != "auto" else ("bfloat16" if target.type == "cuda" else "float32")
    key = (str(folder.resolve()), name, str(target), loras, variant)
    with _loading:
        if key not in _loaded:
            _loaded[key] = _load(folder, DTYPES[name], target, loras, variant)
        return _loaded[key]


def load_controlnet(folder: Path, base: BaseModel) -> Any:
    """The ControlNetModel in a local diffusers folder, for this base model; a second call returns the same object.

    ModelError where it cannot be loaded. `tasks/runtime/models.py` has checked that it was made for this kind of model.
    """
    key = (str(folder.resolve()), base.dtype, base.device)
    with _loading:
        if key not in _controls:
            try:
                control: Any = ControlNetModel.from_pretrained(
                    folder, torch_dtype=base.dtype, use_safetensors=True, local_files_only=True
                )
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                raise ModelError(f"{folder}: the ControlNet could not be loaded: {first_line(error)}") from error
            _controls[key] = control.to(base.device).requires_grad_(False).eval()
        return _controls[key]


def pick_device(name: str) -> torch.device:
    """The device asked for; "auto" takes CUDA, then MPS, then the CPU. ModelError where it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise ModelError(
            f"compute.device is {name!r}, but this machine has none; use one of {_names(available)} or auto"
        )
    return torch.device(name)


def _load(folder: Path, dtype: torch.dtype, device: torch.device, loras: Loras, variant: str) -> BaseModel:
    family = check_pipeline(folder, variant)
    options = {"safety_checker": None, "requires_safety_checker": False} if family == "sd" else {}
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipeline = PIPELINES[family].from_pretrained(
            folder,
            dtype=torch.float32 if loras else dtype,
            variant=variant or None,
            use_safetensors=True,
            local_files_only=True,
            **options,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{folder}: the model could not be loaded: {first_line(error)}") from error
    _check_parts(folder, pipeline)
    if loras:
        _fuse(pipeline, loras)
        pipeline.to(dtype)  # after sums that few bits would lose
    if dtype in (torch.float16, torch.bfloat16):
        pipeline.vae.to(torch.float32)  # SDXL's overflows in float16, and bfloat16 has fewer steps than a pixel's 256
    pipeline.to(device)
    if device.type == "cuda":  # tensor cores take a convolution's channels last; else each call turns them twice
        for part in (pipeline.unet, pipeline.vae):
            part.to(memory_format=torch.channels_last)
    slim(pipeline.unet)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    return BaseModel(family, pipeline, device, dtype)


def _fuse(pipeline: Any, loras: Loras) -> None:
    """Adds LoRAs to the pipeline's weights, so that it is a plain one again."""
    names = [f"lora{number}" for number in range(len(loras))]
    for name, (file, _) in zip(names, loras, strict=True):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Already found a `peft_config`")  # the second one is meant
                pipeline.load_lora_weights(str(Path(file).parent), weight_name=Path(file).name, adapter_name=name)
        except Exception as error:  # each format that diffusers converts has its own ways to fail
            raise ModelError(f"{file}: the LoRA could not be loaded: {first_line(error)}") from error
        if not any(name in of_part for of_part in pipeline.get_list_adapters().values()):
            raise ModelError(f"{file}: the LoRA changes nothing in {type(pipeline).__name__}: it is for another model")
    pipeline.set_adapters(names, [weight for _, weight in loras])
    pipeline.fuse_lora(adapter_names=names)
    pipeline.unload_lora_weights()


def _check_parts(folder: Path, pipeline: Any) -> None:
    """Refuses checkpoints that would load, train and draw without an error, but wrongly."""
    noise, unet, vae = pipeline.scheduler.config, pipeline.unet.config, pipeline.vae.config
    expected = {
        "a scheduler with a beta schedule (DDPM's noise process)": "beta_start" in noise,
        "prediction_type epsilon or v_prediction": noise.get("prediction_type") in ("epsilon", "v_prediction"),
        "a UNet that takes the VAE's latents and nothing else": unet.in_channels == vae.latent_channels,
        "a VAE without its own latent mean": vae.get("latents_mean") is None and vae.get("shift_factor") is None,
    }
    faults = [what for what, holds in expected.items() if not holds]
    if faults:
        raise ModelError(
            f"{folder}: expected {' and '.join(faults)}, but this checkpoint ({type(pipeline.scheduler).__name__}, "
            f"{noise.get('prediction_type')}) has none; use a Stable Diffusion 1.x, 2.x or SDXL text-to-image model"
        )


def _names(available: dict[str, bool]) -> str:
    return ", ".join(name for name, there in available.items() if there)
