"""LoRA weights as an ordinary safetensors file, which diffusers, ComfyUI, A1111 and kohya's tools load.

Keys follow kohya's sd-scripts: `lora_unet_<module path with underscores>.lora_down.weight`, `.lora_up.weight` and
`.alpha`; the header carries the `ss_*` and `modelspec.*` fields that those tools read, and packshot's own recipe.
"""

import json
from dataclasses import dataclass

import torch
from safetensors import safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

PREFIX, DOWN, UP, ALPHA = "lora_unet_", ".lora_down.weight", ".lora_up.weight", ".alpha"
# kohya's name of the base model's version, and the Stability model spec's of its architecture
_VERSIONS = {
    "sd1": ("sd_v1", "stable-diffusion-v1"),
    "sd2": ("sd_v2", "stable-diffusion-v2-512"),
    "sd2-v": ("sd_v2", "stable-diffusion-v2-768-v"),
    "sdxl": ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base"),
}


@dataclass(frozen=True)
class LoraWeights:
    """Per module, named by its path with underscores: A (rank, in) and B (out, rank), scaled by alpha / rank."""

    modules: dict[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float

    @property
    def targets(self) -> tuple[str, ...]:
        """The kinds of Linear that it changes, as the recipe names them."""
        feed_forward = any("_ff_net_" in name for name in self.modules)
        return ("attention", "feed_forward") if feed_forward else ("attention",)


@dataclass(frozen=True)
class LoraHeader:
    """What the file says of itself. `recipe` is the canonical JSON of the adapter's spec, `prediction` the base
    model's prediction type."""

    name: str
    family: str
    base_model: str
    trigger: str
    resolution: int
    recipe: str
    prediction: str = "epsilon"


def write_lora(lora: LoraWeights, header: LoraHeader) -> bytes:
    """The file's bytes; float32, deterministic."""
    tensors: dict[str, Tensor] = {}
    for name, (down, up) in sorted(lora.modules.items()):
        tensors[f"{PREFIX}{name}{DOWN}"] = down.float().contiguous()
        tensors[f"{PREFIX}{name}{UP}"] = up.float().contiguous()
        tensors[f"{PREFIX}{name}{ALPHA}"] = torch.tensor(float(lora.alpha))
    return _with_sorted_header(save_tensors(tensors, metadata=_metadata(lora, header)))


def read_lora(data: bytes) -> LoraWeights:
    """The weights of a file that `write_lora` wrote; KeyError where a part of a module is missing."""
    tensors = load_tensors(data)
    names = [key.removeprefix(PREFIX).removesuffix(DOWN) for key in tensors if key.endswith(DOWN)]
    modules = {name: (tensors[f"{PREFIX}{name}{DOWN}"], tensors[f"{PREFIX}{name}{UP}"]) for name in names}
    rank = modules[names[0]][0].shape[0]
    return LoraWeights(modules, rank, float(tensors[f"{PREFIX}{names[0]}{ALPHA}"]))


def read_metadata(path: str) -> dict[str, str]:
    """The header of a LoRA file on disk."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _with_sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors leaves the metadata in a random one.

    The format is 8 bytes of header length (little-endian), the header as JSON padded with spaces, and the tensors,
    whose offsets count from the header's end (https://github.com/huggingface/safetensors#format).
    """
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _metadata(lora: LoraWeights, header: LoraHeader) -> dict[str, str]:
    kind = _kind(lora, header)
    version, architecture = _VERSIONS[kind]
    return {
        "ss_base_model_version": version,
        "ss_v2": str(kind.startswith("sd2")),
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(lora.rank),
        "ss_network_alpha": str(float(lora.alpha)),
        "ss_output_name": header.name,
        "ss_sd_model_name": header.base_model,
        "ss_resolution": f"({header.resolution}, {header.resolution})",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{architecture}/lora",
        "modelspec.implementation": "https://github.com/huggingface/diffusers",
        "modelspec.title": header.name,
        "modelspec.resolution": f"{header.resolution}x{header.resolution}",
        "modelspec.prediction_type": "v" if header.prediction == "v_prediction" else "epsilon",
        "modelspec.trigger_phrase": header.trigger,
        "packshot.recipe": header.recipe,
    }


def _kind(lora: LoraWeights, header: LoraHeader) -> str:
    """The key of _VERSIONS. Stable Diffusion 2.x is known by its text encoder's width, 1024 instead of 768."""
    if header.family != "sd":
        return header.family
    widths = {down.shape[1] for name, (down, _) in lora.modules.items() if name.endswith("attn2_to_k")}
    if 1024 not in widths:
        return "sd1"
    return "sd2-v" if header.prediction == "v_prediction" else "sd2"
