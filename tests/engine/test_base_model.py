"""Only checkpoints that would be trained and drawn rightly are loaded; each refusal is one clear message."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from catalog_schemas.errors import ModelError
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel, load_base, pick_device
from tasks.engine.noise import NoiseSchedule


@pytest.fixture
def copy(folders, tmp_path):
    """A copy of the tiny Stable Diffusion, to be spoiled."""
    return shutil.copytree(folders["sd"], tmp_path / "model")


def change(file, **values):
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_model_is_loaded_once(folders):
    assert load_base(folders["sd"], "float32", "cpu") is load_base(folders["sd"], "float32", "cpu")
    base = load_base(folders["sd"], "float32", "cpu")
    assert (base.family, base.latent_scale, base.resolution) == ("sd", 8, 64)
    assert not any(parameter.requires_grad for parameter in base.unet.parameters())


@pytest.mark.parametrize(
    ("family", "width", "prediction", "kind"),
    [
        ("sd", 768, "epsilon", "sd1"),
        ("sd", 768, "v_prediction", "sd1"),
        ("sd", 1024, "epsilon", "sd2"),
        ("sd", 1024, "v_prediction", "sd2-v"),
        ("sdxl", 2048, "epsilon", "sdxl"),
    ],
)
def test_the_kind_of_model_is_known_by_what_it_reads_and_answers(family, width, prediction, kind):
    unet = SimpleNamespace(config=SimpleNamespace(cross_attention_dim=width))
    scheduler = SimpleNamespace(config=SimpleNamespace(prediction_type=prediction))
    pipeline = SimpleNamespace(unet=unet, scheduler=scheduler)
    assert BaseModel(family, pipeline, torch.device("cpu"), torch.float32).kind == kind


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("scheduler", {"prediction_type": "sample"}, "epsilon or v_prediction"),
        ("vae", {"latents_mean": [0.0] * 4}, "latent mean"),
    ],
)
def test_checkpoints_that_would_be_trained_wrongly_are_refused(copy, part, values, message):
    change(copy / part / ("scheduler_config.json" if part == "scheduler" else "config.json"), **values)
    with pytest.raises(ModelError, match=message):
        load_base(copy, "float32", "cpu")


def test_a_missing_device_is_named():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError, match=r"'cuda', but this machine has none; use one of cpu"):
        pick_device("cuda")


def test_fused_attention_is_refused_since_it_bypasses_adapters(folders):
    base = load_base(folders["sd-v"], "float32", "cpu")
    base.unet.fuse_qkv_projections()
    try:
        with pytest.raises(ModelError, match="fused"):
            AdapterBank(base.unet, 1, 2)
    finally:
        base.unet.unfuse_qkv_projections()
        for module in base.unet.modules():
            if hasattr(module, "fused_projections"):
                module.fused_projections = False


def test_the_noise_is_the_checkpoints_not_the_samplers(folders, copy):
    """A sampler that bends its own table for zero terminal signal must not bend training; no weight is NaN there."""
    change(
        copy / "scheduler" / "scheduler_config.json", _class_name="EulerDiscreteScheduler", rescale_betas_zero_snr=True
    )
    change(copy / "model_index.json", scheduler=["diffusers", "EulerDiscreteScheduler"])
    base = load_base(copy, "float32", "cpu")
    assert base.pipeline.scheduler.alphas_cumprod[-1] > 0
    schedule = NoiseSchedule(base)
    assert schedule.alphas[-1] == 0
    weights = schedule.min_snr(torch.arange(len(schedule)), 5.0)
    assert weights.isfinite().all()
    assert weights[-1] == 1
    plain = NoiseSchedule(load_base(folders["sd-v"], "float32", "cpu"))
    assert plain.velocity
    assert plain.min_snr(torch.tensor([999]), 5.0).item() == pytest.approx(float(plain.alphas[-1]), rel=1e-4)
