"""The file is what diffusers, ComfyUI, A1111 and kohya's tools expect; the rules are theirs, not ours.

Sources, read for their rules only:
- ComfyUI `comfy/lora.py`: `load_lora`, `model_lora_keys_unet`, and `comfy/utils.py`: `unet_to_diffusers`
- AUTOMATIC1111 `extensions-builtin/Lora/networks.py`: `load_network`, `convert_diffusers_name_to_compvis`, and
  `network.py`: `detect_version`, `calc_scale`
- kohya-ss/sd-scripts `networks/lora.py`: `create_network_from_weights`, `LoRANetwork.create_modules`, and
  `library/sai_model_spec.py`, `library/train_util.py` for the metadata
"""

import copy
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load as load_tensors

from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import load_base
from tasks.engine.lora_file import LoraWeights, read_lora, write_lora
from tasks.engine.rendering import RenderRequest, RenderSettings, render
from tests.engine.counted_file import counted_file
from tests.engine.material import HEADER, strong_adapter

ROOT = Path(__file__).parents[2]
EVERYWHERE = {"targets": ("attention", "feed_forward", "convolution")}


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


@pytest.fixture(scope="module")
def lora(base):
    return strong_adapter(base, 7, **EVERYWHERE)


@pytest.fixture(scope="module")
def data(lora):
    return write_lora(lora, HEADER)


def run_fresh(*arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_diffusers_in_a_fresh_process_draws_the_same_image(folders, tmp_path):
    settings = RenderSettings(steps=3, guidance=4.0, scheduler="checkpoint", width=64, height=64)
    expected = {}
    for family, negative in (("sd", "blurry"), ("sdxl", "")):
        base = load_base(folders[family], "float32", "cpu")
        lora = strong_adapter(base, 3, rank=3, alpha=7.0, **EVERYWHERE)
        folder = tmp_path / family
        folder.mkdir()
        data = write_lora(lora, dataclasses.replace(HEADER, kind=base.kind))
        (folder / "lora.safetensors").write_bytes(data)
        request = {"model": str(folders[family]), "family": family, "prompt": "a photo of sks mug"}
        request |= {"negative": negative, "seed": 11, "steps": 3, "guidance": 4.0, "side": 64}
        (folder / "request.json").write_text(json.dumps(request))
        ours = RenderRequest("a photo of sks mug", negative, 11, "mug")
        expected[family] = render(base, [ours], settings, {"mug": data}, 1)[0]
        plain = render(base, [dataclasses.replace(ours, adapter="")], settings, {}, 1)[0]
        assert np.abs(expected[family].astype(int) - plain).mean() > 2
    run_fresh("-m", "tests.engine.fresh_process", *(str(tmp_path / family) for family in expected))
    for family, image in expected.items():
        theirs = np.load(tmp_path / family / "image.npy") * 255
        assert np.abs(image - theirs).max() <= 1.0, family


def test_the_same_weights_give_the_same_bytes_in_another_process():
    here = hashlib.sha256(counted_file("a_to_k", "b_to_q")).hexdigest()
    assert run_fresh("-m", "tests.engine.counted_file", "b_to_q", "a_to_k").strip() == here


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def test_what_is_written_reads_back(lora, data, tmp_path):
    back = read_lora(data)
    assert (back.rank, back.alpha, back.targets) == (lora.rank, lora.alpha, lora.targets)
    for name, pair in lora.modules.items():
        assert all(torch.equal(a, b) for a, b in zip(pair, back.modules[name], strict=True))
    path = tmp_path / "file.safetensors"
    path.write_bytes(data)
    assert _metadata(path)["packshot.recipe"] == HEADER.recipe


def test_comfyui_patches_the_weights_that_the_bank_adds(base, lora, data):
    """`weight += strength * (alpha / rank) * up @ down`, both flattened to two dimensions, for `lora_unet_<diffusers
    path>`; no key is left over."""
    tensors = load_tensors(data)
    unet, used = copy.deepcopy(base.unet), set()
    for key, parameter in unet.named_parameters():
        name = f"lora_unet_{key.removesuffix('.weight').replace('.', '_')}"
        if not key.endswith(".weight") or f"{name}.lora_up.weight" not in tensors:
            continue
        parts = [f"{name}.lora_up.weight", f"{name}.lora_down.weight", f"{name}.alpha"]
        up, down, alpha = (tensors[part] for part in parts)
        parameter += alpha.item() / down.shape[0] * (up.flatten(1) @ down.flatten(1)).reshape(parameter.shape)
        used |= set(parts)
    assert used == set(tensors)
    assert len(used) == 3 * len(lora.modules)
    assert_same_as_the_bank(base, unet, lora)


def assert_same_as_the_bank(base, unet, lora):
    noisy, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    with torch.no_grad(), AdapterBank(base.unet, 1, lora.rank, lora.targets) as bank:
        bank.load(0, lora)
        banked = base.unet(noisy, 400, text).sample
    assert torch.allclose(banked, unet(noisy, 400, text).sample, atol=1e-4)


def test_kohyas_tools_find_every_module_with_its_rank_and_alpha(base, lora, data, tmp_path):
    """A module's name is a key's part before the first dot; targets are the Linears inside Transformer2DModels, and
    the Linears and convolutions inside residual blocks and the steps from size to size."""
    convolutional = ("ResnetBlock2D", "Downsample2D", "Upsample2D")
    ranks, alphas = {}, {}
    for key, value in load_tensors(data).items():
        name = key.split(".")[0]
        if "alpha" in key:
            alphas[name] = float(value)
        elif "lora_down" in key:
            ranks[name] = value.shape[0]
    targets = {
        f"lora_unet.{outer}.{inner}".replace(".", "_")
        for outer, block in base.unet.named_modules()
        if type(block).__name__ in ("Transformer2DModel", *convolutional)
        for inner, module in block.named_modules()
        if type(module).__name__ in ("Linear", "Conv2d")
    }
    assert ranks
    assert ranks.keys() <= targets
    assert set(ranks.values()) == {lora.rank}
    assert alphas == dict.fromkeys(ranks, lora.alpha)
    (tmp_path / "file.safetensors").write_bytes(data)
    told = json.loads(_metadata(tmp_path / "file.safetensors")["ss_network_args"])
    assert (int(told["conv_dim"]), float(told["conv_alpha"])) == (lora.rank, lora.alpha)


def test_a1111_maps_every_key_to_a_module_of_the_original_layout(data):
    """Five or fewer dotted parts; `lora_unet_down_blocks_…` becomes `diffusion_model_input_blocks_…` by arithmetic."""
    parts = {"lora_down.weight", "lora_up.weight", "alpha"}
    found = {}
    for key in load_tensors(data):
        assert len(key.split(".")) <= 5
        name, part = key.split(".", 1)
        assert part in parts
        name = _in_the_original_layout(name)
        attention = r"transformer_blocks_\d+_(attn[12]_to_(q|k|v|out_0)|ff_net_(0_proj|2))"
        residual = r"_(in_layers_2|out_layers_3|emb_layers_1|skip_connection|0_op|[12]_conv)"
        assert re.fullmatch(rf"diffusion_model_.+?({attention}|{residual})", name), name
        found.setdefault(name, set()).add(part)
    assert all(have == parts for have in found.values())


def _in_the_original_layout(name):
    """The rules of A1111's `convert_diffusers_name_to_compvis` (extensions-builtin/Lora/networks.py) for UNets."""
    kinds = {
        "conv1": "in_layers_2", "conv2": "out_layers_3", "time_emb_proj": "emb_layers_1",
        "conv_shortcut": "skip_connection",
    }  # fmt: skip
    if match := re.fullmatch(r"lora_unet_(down|up)_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)", name):
        level, number, attends = int(match[2]), int(match[4]), match[3] == "attentions"
        at = f"input_blocks_{1 + level * 3 + number}" if match[1] == "down" else f"output_blocks_{level * 3 + number}"
        return f"diffusion_model_{at}_{int(attends)}_{match[5] if attends else kinds[match[5]]}"
    if match := re.fullmatch(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)", name):
        attends = match[1] == "attentions"
        part = match[3] if attends else kinds[match[3]]
        return f"diffusion_model_middle_block_{1 if attends else int(match[2]) * 2}_{part}"
    if match := re.fullmatch(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv", name):
        return f"diffusion_model_input_blocks_{3 + int(match[1]) * 3}_0_op"
    match = re.fullmatch(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv", name)
    assert match, name
    return f"diffusion_model_output_blocks_{2 + int(match[1]) * 3}_{2 if int(match[1]) else 1}_conv"


@pytest.mark.parametrize(
    ("kind", "version", "kohya", "architecture"),
    [
        ("sd1", "SD1", "sd_v1", "stable-diffusion-v1/lora"),
        ("sd2", "SD2", "sd_v2", "stable-diffusion-v2-512/lora"),
        ("sd2-v", "SD2", "sd_v2", "stable-diffusion-v2-768-v/lora"),
        ("sdxl", "SDXL", "sdxl_base_v1-0", "stable-diffusion-xl-v1-base/lora"),
    ],
)
def test_a1111_and_kohya_recognise_the_base_models_kind(kind, version, kohya, architecture, tmp_path):
    """Whatever the adapter changes: none of these modules reads texts."""
    pair = torch.zeros(2, 8), torch.zeros(8, 2)
    lora = LoraWeights({"mid_block_attentions_0_transformer_blocks_0_ff_net_2": pair}, 2, 1.0)
    metadata = metadata_of(write_lora(lora, dataclasses.replace(HEADER, kind=kind)), tmp_path)
    assert a1111_version(metadata) == version
    assert metadata["ss_base_model_version"] == kohya
    assert metadata["modelspec.architecture"] == architecture
    assert metadata["ss_network_module"] == "networks.lora"
    assert int(metadata["ss_network_dim"]) == 2
    assert float(metadata["ss_network_alpha"]) == 1.0
    assert metadata["modelspec.sai_model_spec"] == "1.0.0"


def test_a_file_for_a_velocity_model_says_so(tmp_path):
    velocity = dataclasses.replace(HEADER, prediction="v_prediction")
    assert metadata_of(write_lora(LoraWeights({}, 1, 1.0), velocity), tmp_path)["modelspec.prediction_type"] == "v"


def metadata_of(data: bytes, folder: Path) -> dict[str, str]:
    (folder / "file.safetensors").write_bytes(data)
    with safe_open(folder / "file.safetensors", framework="pt") as file:
        return file.metadata()


def a1111_version(metadata: dict[str, str]) -> str:
    if metadata.get("ss_base_model_version", "").startswith("sdxl_"):
        return "SDXL"
    return "SD2" if metadata.get("ss_v2", "") == "True" else "SD1"
