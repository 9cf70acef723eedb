"""What a model's folder lacks is told before anything of it is loaded, and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from catalog_schemas.errors import ModelError
from tasks.engine.base_model import load_base
from tasks.engine.pipeline_folder import check_pipeline

Spoil = Callable[[Path], object]


def _says(**values: object) -> Spoil:
    def change(folder: Path) -> None:
        index = folder / "model_index.json"
        index.write_text(json.dumps(json.loads(index.read_text()) | values))

    return change


def _half(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".fp16.safetensors"))


def _pickled(folder: Path) -> None:
    for file in folder.rglob("*.safetensors"):
        file.rename(file.with_suffix(".bin"))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_says(_class_name="FluxPipeline"), r"Diffusion 1\.x, 2\.x or XL, one of Stable.*, but .* 'FluxPipeline'"),
        (lambda folder: (folder / "model_index.json").unlink(), r"model\.source at such a folder.*docs/training\.md"),
        (lambda folder: (folder / "model_index.json").write_text("{"), r"model_index\.json: expected a model's sett"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), r"model_index\.json: expected a model's sett"),
        (lambda folder: (folder / "unet" / "config.json").write_bytes(b"\xff"), r"unet/config\.json: expected a mode"),
        (lambda folder: shutil.rmtree(folder / "scheduler"), r"scheduler/scheduler_config\.json: expected a model's"),
        (lambda folder: shutil.rmtree(folder / "tokenizer"), r"tokenizer: expected a tokenizer's vocab\.json"),
        (lambda folder: shutil.rmtree(folder / "text_encoder"), r"text_encoder/config\.json: expected a model's"),
        (_half, r"unet: .* in diffusion_pytorch_model\.safetensors, found .*\.fp16\.safetensors; model\.variant"),
        (_pickled, r"unet: .* found diffusion_pytorch_model\.bin; .*pickled weights \(\.bin\) are never read: save"),
    ],
)
@pytest.mark.parametrize("look", [check_pipeline, load_base])
def test_what_a_folder_lacks_is_told(
    folders: dict[str, Path], tmp_path: Path, spoil: Spoil, says: str, look: Callable[[Path], object]
) -> None:
    copy = shutil.copytree(folders["sd"], tmp_path / "model")
    spoil(copy)
    with pytest.raises(ModelError, match=says):
        look(copy)


def test_a_second_tokenizer_belongs_to_sdxl_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    assert (check_pipeline(folders["sd"]), check_pipeline(folders["sdxl"])) == ("sd", "sdxl")
    copy = shutil.copytree(folders["sdxl"], tmp_path / "model")
    shutil.rmtree(copy / "tokenizer_2")
    with pytest.raises(ModelError, match="tokenizer_2: expected a tokenizer"):
        check_pipeline(copy)


def test_weights_in_several_files_and_a_fast_tokenizer_do(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(folders["sd"], tmp_path / "model")
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model-00001-of-00001.safetensors"))
    weights.with_suffix(".safetensors.index.json").write_text("{}")
    for file in (copy / "tokenizer").glob("*"):
        file.rename(copy / "tokenizer" / "tokenizer.json")
    check_pipeline(copy)


def test_a_variants_weights_are_those_that_are_loaded(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(folders["sd"], tmp_path / "model")
    base = load_base(copy, "float32", "cpu")
    _half(copy)
    half = load_base(copy, "float32", "cpu", variant="fp16")
    assert half is not base
    pairs = zip(base.unet.parameters(), half.unet.parameters(), strict=True)
    assert all(torch.equal(own, other) for own, other in pairs)
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.bf16\.safetensors, found .*\.fp16\.safetensors"):
        check_pipeline(copy, "bf16")
