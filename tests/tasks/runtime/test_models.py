"""What stands beside the base model, a ControlNet, a network, LoRAs: found, known by its bytes, or told."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from catalog_schemas.errors import ModelError
from configs.schema import LoraConfig, ModelConfig, SegmenterConfig
from tasks.runtime.models import ModelFolder, find_model
from tests.imaging.networks import colourful, enlarging
from tests.models.tiny import build_tiny_clip, build_tiny_controlnet, build_tiny_sd, build_tiny_sdxl


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sd(tmp_path_factory.mktemp("model") / "tiny")


def test_a_precision_that_is_named_makes_another_model_and_auto_does_not(model: Path) -> None:
    found = {
        name: find_model(ModelConfig(source=str(model), precision=name)) for name in ("auto", "float16", "float32")
    }
    assert found["auto"] == find_model(ModelConfig(source=str(model)))
    assert found["float16"].identity == f"{found['auto'].identity}+float16"
    assert len({one.drawing_identity for one in found.values()}) == 3


@pytest.fixture
def control(model: Path, tmp_path: Path) -> Path:
    return build_tiny_controlnet(tmp_path / "edges", model)


def test_a_models_own_is_found_and_one_that_is_named_comes_first(model: Path, control: Path, tmp_path: Path) -> None:
    plain = find_model(ModelConfig(source=str(model)))
    assert (plain.controlnet, plain.controlnet_identity) == ("", "")
    own = shutil.copytree(model, tmp_path / "own")
    shutil.copytree(control, own / "controlnet")
    assert find_model(ModelConfig(source=str(own))).controlnet == str(own / "controlnet")
    named = find_model(ModelConfig(source=str(own), controlnet=str(control)))
    assert named.controlnet == str(control)
    assert named.identity == plain.identity, "what follows edges draws nothing by itself"


def test_a_scorer_is_known_by_its_bytes_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    def found(folder: Path, scorer: str = "") -> ModelFolder:
        return find_model(ModelConfig(source=str(folder), scorer=scorer))

    own, clip = shutil.copytree(model, tmp_path / "own"), build_tiny_clip(tmp_path / "clip")
    shutil.copytree(clip, own / "clip")
    assert (found(model).scorer, found(model).scorer_identity) == ("", "")
    assert (found(own).scorer, found(model, f"file://{clip}").scorer) == (str(own / "clip"), str(clip))
    assert found(own).identity == found(model).identity, "what judges draws nothing"
    same = found(own).scorer_identity
    assert same == found(model, str(clip)).scorer_identity != ""
    (clip / "preprocessor_config.json").write_text("{}")
    assert found(own, str(clip)).scorer_identity != same
    with pytest.raises(ModelError, match=r"someone/clip: expected the folder of a CLIP model.*model\.scorer"):
        found(model, "someone/clip")


def test_its_identity_is_its_bytes_wherever_it_lies(model: Path, control: Path, tmp_path: Path) -> None:
    def identity(source: str) -> str:
        return find_model(ModelConfig(source=str(model), controlnet=source), tmp_path / "cache").controlnet_identity

    other = shutil.copytree(control, tmp_path / "other")
    assert identity(str(other)) == identity(f"file://{control}") == identity(str(control))
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    assert identity(str(other)) != identity(str(control))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("./nowhere", "nowhere: expected a diffusers ControlNet folder.*model.controlnet"),
        (
            "someone/edges",
            "expected a folder that is there, a store URL, or a hub id that pins its commit: id@revision",
        ),
        ("someone/edges@main", "pins its commit"),
    ],
)
def test_one_that_is_not_there_is_told(model: Path, source: str, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        find_model(ModelConfig(source=str(model), controlnet=source))


def test_one_for_another_kind_of_model_is_told_before_anything_is_trained(
    model: Path, control: Path, tmp_path: Path
) -> None:
    other = build_tiny_sdxl(tmp_path / "sdxl")
    with pytest.raises(ModelError, match=r"has cross_attention_dim 32, but the base model's UNet has 64.*controlnet"):
        find_model(ModelConfig(source=str(other), controlnet=str(control)))


@pytest.mark.parametrize("rubbish", [b"{", b"[]", b"\xff"])
def test_one_whose_description_is_rubbish_is_told(model: Path, control: Path, rubbish: bytes) -> None:
    (control / "config.json").write_bytes(rubbish)
    with pytest.raises(ModelError, match=r"config\.json: expected a model.s settings in JSON"):
        find_model(ModelConfig(source=str(model), controlnet=str(control)))


def test_a_hub_that_cannot_be_asked_is_told(model: Path) -> None:
    with pytest.raises(ModelError, match="could not be fetched from the hub"):
        find_model(ModelConfig(source=str(model), controlnet="someone/edges@" + "0" * 40))


def test_a_network_that_cuts_out_is_known_by_its_bytes_and_by_what_it_is_given(model: Path, tmp_path: Path) -> None:
    def found(path: Path | str, **more: Any) -> ModelFolder:
        config = ModelConfig(source=str(model), segmenter=SegmenterConfig(source=str(path), **more))
        return find_model(config, tmp_path / "cache")

    one, same, other = (tmp_path / name for name in ("one.onnx", "same.onnx", "other.onnx"))
    colourful(one)
    shutil.copy(one, same)
    colourful(other, steepness=50.0)
    assert found(one).segmenter == str(one)
    assert found(one).segmenter_identity == found(same).segmenter_identity == found(f"file://{one}").segmenter_identity
    assert found(one).identity == find_model(ModelConfig(source=str(model))).identity
    different = {found(one).segmenter_identity, found(other).segmenter_identity}
    assert len(different | {found(one, mean=(0.5, 0.5, 0.5)).segmenter_identity}) == 3


def test_a_network_that_is_not_there_is_told(model: Path, tmp_path: Path) -> None:
    config = ModelConfig(source=str(model), segmenter=SegmenterConfig(source=str(tmp_path / "none.onnx")))
    with pytest.raises(ModelError, match=r"none\.onnx: expected a network in an ONNX file.*model\.segmenter\.source"):
        find_model(config)


def _lora(file: Path, text: int, key: str = "unet.down.attn2.to_k.lora_A.weight") -> Path:
    save_file({key: np.zeros((4, text), np.float32)}, file)
    return file


def test_loras_are_known_by_their_bytes_weights_and_order_and_the_model_trains_as_before(
    model: Path, tmp_path: Path
) -> None:
    one, other = (
        _lora(tmp_path / "one.safetensors", 32),
        _lora(tmp_path / "other.safetensors", 32, "x.lora_down.weight"),
    )
    shutil.copy(one, tmp_path / "same.safetensors")

    def found(*loras: tuple[Path, float]) -> ModelFolder:
        configs = tuple(LoraConfig(source=str(file), weight=weight) for file, weight in loras)
        return find_model(ModelConfig(source=str(model), loras=configs), tmp_path / "cache")

    first = found((one, 1.0))
    assert first.loras == ((str(one), 1.0),)
    assert found((tmp_path / "same.safetensors", 1.0)).drawing_identity == first.drawing_identity
    assert first.identity == found().identity == found().drawing_identity
    ways = [found((one, 1.0)), found((one, 0.5)), found((other, 1.0)), found((one, 1.0), (other, 1.0))]
    ways += [found((other, 1.0), (one, 1.0)), found()]
    assert (
        len({way.drawing_identity for way in ways})
        == len({tuple(way.identities.values()) for way in ways})
        == len(ways)
    )


@pytest.mark.parametrize("key", ["unet.a.attn2.to_v.lora_A.weight", "lora_unet_a_attn2_to_k.lora_down.weight"])
def test_a_lora_for_another_kind_of_model_is_told_before_anything_is_trained(
    model: Path, tmp_path: Path, key: str
) -> None:
    config = LoraConfig(source=str(_lora(tmp_path / "sdxl.safetensors", 2048, key)))
    with pytest.raises(ModelError, match=r"sdxl\.safetensors: the LoRA reads texts of 2048 numbers, .* UNet of 32"):
        find_model(ModelConfig(source=str(model), loras=(config,)))


@pytest.mark.parametrize(
    ("rubbish", "says"),
    [
        (b"", "its header is none"),
        (b"PK\x03\x04" + b"x" * 100, "its header is none"),
        (b"\x02" + b"\0" * 7 + b"[]", "its header is none"),
        (b"\x02" + b"\0" * 7 + b"{}", "none of its 0 arrays is a factor of one"),
        (b"\xff" * 16, "its header is none"),
    ],
)
def test_a_file_that_is_no_lora_is_told(model: Path, tmp_path: Path, rubbish: bytes, says: str) -> None:
    file = tmp_path / "style.safetensors"
    config = ModelConfig(source=str(model), loras=(LoraConfig(source=str(file)),))
    with pytest.raises(ModelError, match=r"style\.safetensors: expected a LoRA .*point model\.loras\.0\.source"):
        find_model(config)
    file.write_bytes(rubbish)
    with pytest.raises(ModelError, match=rf"style\.safetensors: expected a LoRA.*{says}"):
        find_model(config)


def test_a_network_that_enlarges_is_the_models_own_or_one_that_is_named(model: Path, tmp_path: Path) -> None:
    own = shutil.copytree(model, tmp_path / "own")
    enlarging(own / "upscaler.onnx", 2)
    named = enlarging(tmp_path / "named.onnx", 3)
    none, its, other = (
        find_model(ModelConfig(source=str(folder), upscaler=upscaler))
        for folder, upscaler in ((model, ""), (own, ""), (own, str(named)))
    )
    assert (none.upscaler, none.upscaler_identity) == ("", "")
    assert (its.upscaler, other.upscaler) == (str(own / "upscaler.onnx"), str(named))
    assert its.upscaler_identity.startswith("sha256:")
    assert len({none.upscaler_identity, its.upscaler_identity, other.upscaler_identity}) == 3
    assert its.identity == other.identity == none.identity, "what enlarges draws nothing by itself"
    assert len({tuple(one.identities.values()) for one in (none, its, other)}) == 3


@pytest.mark.parametrize("rubbish", [b"", b"PNG", None])
def test_a_network_that_enlarges_nothing_is_told(model: Path, tmp_path: Path, rubbish: bytes | None) -> None:
    path = tmp_path / "network.onnx"
    enlarging(path, 1) if rubbish is None else path.write_bytes(rubbish)
    with pytest.raises(ModelError, match=r"network\.onnx: expected a network (in an ONNX file, but|that makes a pic)"):
        find_model(ModelConfig(source=str(model), upscaler=str(path)))
