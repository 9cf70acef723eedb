"""LoRA weights as an ordinary safetensors file, which diffusers, ComfyUI, A1111 and kohya's tools load.

Keys follow kohya's sd-scripts: `lora_unet_<module path with underscores>.lora_down.weight`, `.lora_up.weight` and
`.alpha`; the header carries the `ss_*` and `modelspec.*` fields that those tools read, and packshot's own recipe.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

TEXT = ("te_", "te1_", "te2_")
TEXT_PARAMETERS = ("te.", "te1.", "te2.")
BUNDLE = "bundle_emb."
_BUNDLED = {"te": "string_to_param.*", "te1": "clip_l", "te2": "clip_g"}
_DIFFERENCES = {"weight": ".diff", "bias": ".diff_b"}
_EMBEDDED = {"te": "emb_params", "te1": "clip_l", "te2": "clip_g"}
PREFIX, DOWN, UP, ALPHA = "lora_unet_", ".lora_down.weight", ".lora_up.weight", ".alpha"
# by kind of base model, kohya's name of its version, and the Stability model spec's of its architecture
_VERSIONS = {
    "sd1": ("sd_v1", "stable-diffusion-v1"),
    "sd2": ("sd_v2", "stable-diffusion-v2-512"),
    "sd2-v": ("sd_v2", "stable-diffusion-v2-768-v"),
    "sdxl": ("sdxl_base_v1-0", "stable-diffusion-xl-v1-base"),
}


@dataclass(frozen=True)
class LoraWeights:
    """Per module, named by its path with underscores: A (rank, in) and B (out, rank), scaled by alpha / rank. Those of
    convolutions are (rank, in, height, width) and (out, rank, 1, 1).

    Names of text encoders' modules begin with the encoder's: `te`, or `te1` and `te2` where there are two. `tokens`
    holds for each encoder the rows (count, width) that take the place of `word` in prompts. `differences` holds what
    full DreamBooth adds to the UNet's parameters, by their own names, and to those of text encoders, after the
    encoder's name and a dot.
    """

    modules: dict[str, tuple[Tensor, Tensor]]
    rank: int
    alpha: float
    tokens: dict[str, Tensor] = field(default_factory=dict)
    word: str = ""
    differences: dict[str, Tensor] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        """The kinds of layer that it changes, as the recipe names them."""
        kinds = {"attention": "_attn", "feed_forward": "_ff_net_", "convolution": "_conv"}
        unet = [name for name in self.modules if not name.startswith(TEXT)]
        return tuple(kind for kind, part in kinds.items() if any(part in name for name in unet))

    @property
    def changes_text(self) -> bool:
        """Whether prompts mean something else with it."""
        learned = [name for name in self.differences if name.startswith(TEXT_PARAMETERS)]
        return bool(self.tokens or learned) or any(name.startswith(TEXT) for name in self.modules)


@dataclass(frozen=True)
class LoraHeader:
    """What the file says of itself. `kind` is the base model's (`BaseModel.kind`), `prediction` its prediction type,
    and `recipe` the canonical JSON of the adapter's spec."""

    name: str
    kind: str
    base_model: str
    trigger: str
    resolution: int
    recipe: str
    prediction: str = "epsilon"


def write_lora(lora: LoraWeights, header: LoraHeader) -> bytes:
    """The file's bytes; float32, deterministic.

    Learned tokens go in as A1111 bundles them with a LoRA (`bundle_emb.<word>.…`); `write_embedding` gives them alone.
    """
    tensors: dict[str, Tensor] = {}
    for name, (down, up) in sorted(lora.modules.items()):
        tensors[f"{_key(name)}{DOWN}"] = down.float().contiguous()
        tensors[f"{_key(name)}{UP}"] = up.float().contiguous()
        tensors[f"{_key(name)}{ALPHA}"] = torch.tensor(float(lora.alpha))
    for encoder, rows in lora.tokens.items():
        tensors[f"{BUNDLE}{lora.word}.{_BUNDLED[encoder]}"] = rows.float().contiguous()
    for name, difference in sorted(lora.differences.items()):
        tensors[_difference_key(name)] = difference.contiguous()
    metadata = _metadata(lora, header)
    if lora.differences:
        metadata["packshot.parameters"] = json.dumps(sorted(lora.differences))
    return _with_sorted_header(save_tensors(tensors, metadata=metadata))


def write_embedding(lora: LoraWeights, header: LoraHeader) -> bytes:
    """The learned tokens alone, as a textual-inversion file: `emb_params`, or SDXL's `clip_l` and `clip_g`.

    ComfyUI and A1111 call it by its file's name; diffusers takes it with `load_textual_inversion` and a token's name.
    """
    tensors = {_EMBEDDED[encoder]: rows.float().contiguous() for encoder, rows in lora.tokens.items()}
    kept = {key: text for key, text in _metadata(lora, header).items() if not key.startswith("ss_network_")}
    kept["modelspec.architecture"] = kept["modelspec.architecture"].replace("/lora", "/textual-inversion")
    return _with_sorted_header(save_tensors(tensors, metadata=kept))


def read_lora(data: bytes) -> LoraWeights:
    """The weights of a file that `write_lora` wrote; KeyError where a part of a module is missing."""
    tensors = load_tensors(data)
    names = [key.removesuffix(DOWN) for key in tensors if key.endswith(DOWN)]
    modules = {_name(key): (tensors[f"{key}{DOWN}"], tensors[f"{key}{UP}"]) for key in names}
    rank, alpha = (tensors[f"{names[0]}{DOWN}"].shape[0], float(tensors[f"{names[0]}{ALPHA}"])) if names else (1, 1.0)
    tokens, word = {}, ""
    for key in tensors:
        if key.startswith(BUNDLE):
            word, _, part = key.removeprefix(BUNDLE).partition(".")
            tokens[next(encoder for encoder, spelled in _BUNDLED.items() if spelled == part)] = tensors[key]
    return LoraWeights(modules, rank, alpha, tokens, word, _read_differences(data, tensors))


def is_lora(data: bytes) -> bool:
    """Whether `read_lora` reads it: the format notices what is cut off, but not what has changed in a tensor."""
    try:
        read_lora(data)
    except (SafetensorError, KeyError, ValueError, StopIteration):
        return False
    return True


def _read_differences(data: bytes, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """By parameter name, which the underscores of the keys hide: the header has the names."""
    names = json.loads(_header(data).get("__metadata__", {}).get("packshot.parameters", "[]"))
    return {name: tensors[_difference_key(name)] for name in names}


def _difference_key(name: str) -> str:
    """The file's key of a parameter: `lora_unet_…`, or `lora_te_text_model_…` for those of text encoders."""
    path, _, kind = name.rpartition(".")
    if not name.startswith(TEXT_PARAMETERS):
        return f"{PREFIX}{path.replace('.', '_')}{_DIFFERENCES[kind]}"
    encoder, _, own = path.partition(".")
    return f"lora_{encoder}_{text_name(own)}{_DIFFERENCES[kind]}"


def text_name(path: str) -> str:
    """A text encoder's module as LoRA files call it; transformers 5 leaves `text_model` out of some names."""
    spelled = path.replace(".", "_")
    is_part = spelled.startswith(("text_model_", "text_projection"))
    return spelled if is_part else f"text_model_{spelled}"


def _header(data: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return parsed


def _key(name: str) -> str:
    return f"lora_{name}" if name.startswith(TEXT) else f"{PREFIX}{name}"


def _name(key: str) -> str:
    return key.removeprefix(PREFIX) if key.startswith(PREFIX) else key.removeprefix("lora_")


def _with_sorted_header(data: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors leaves the metadata in a random one.

    The format is 8 bytes of header length (little-endian), the header as JSON padded with spaces, and the tensors,
    whose offsets count from the header's end (https://github.com/huggingface/safetensors#format).
    """
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(_header(data), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _metadata(lora: LoraWeights, header: LoraHeader) -> dict[str, str]:
    version, architecture = _VERSIONS[header.kind]
    own = {"conv_dim": str(lora.rank), "conv_alpha": str(float(lora.alpha))} if "convolution" in lora.targets else {}
    arguments = {"ss_network_args": json.dumps(own)} if own else {}
    return arguments | {
        "ss_base_model_version": version,
        "ss_v2": str(header.kind.startswith("sd2")),
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
