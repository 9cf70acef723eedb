"""Tiny real models, built once per session."""

from pathlib import Path

import pytest
import torch

from tasks.engine.base_model import BaseModel, load_base
from tests.models.tiny import build_tiny_sd, build_tiny_sdxl

torch.set_num_threads(1)  # the models are so small that threads only wait for each other


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "sd": build_tiny_sd(root / "sd"),
        "sd-v": build_tiny_sd(root / "sd-v", prediction_type="v_prediction", levels=2),
        "sdxl": build_tiny_sdxl(root / "sdxl"),
    }


@pytest.fixture(scope="module", params=["sd", "sd-v", "sdxl"])
def base(request: pytest.FixtureRequest, folders: dict[str, Path]) -> BaseModel:
    return load_base(folders[request.param], "float32", "cpu")


@pytest.fixture(scope="module")
def sd(folders: dict[str, Path]) -> BaseModel:
    return load_base(folders["sd"], "float32", "cpu")
