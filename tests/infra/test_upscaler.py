"""The demo model's upscaler: how it is trained, and that what ships gives back more than scaling does."""

from pathlib import Path

import numpy as np
import pytest
import torch

import infra.demo
from infra.demo import upscaler
from infra.demo.products import random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from infra.demo.upscaler import FACTOR, SHARES, Upscaler, as_drawn, export, main
from tasks.engine.base_model import load_base
from tasks.imaging.pixels import scale_rgb
from tasks.imaging.upscaler import Upscaler as OnnxUpscaler
from tests.bench.bench_upscale import likeness
from tests.models.tiny import build_tiny_sd

MODEL = Path(infra.demo.__file__).parent / "model"


def test_what_is_exported_is_what_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Upscaler(width=8, depth=3)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    export(network, tmp_path / "network.onnx")
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)[0].clamp(0, 1)
    found = OnnxUpscaler(str(tmp_path / "network.onnx"))(rgb, 1000)
    inside = slice(16, -40), slice(16, -24)  # away from the padding to a multiple of eight
    assert found.shape == (50 * FACTOR, 70 * FACTOR, 3)
    assert np.abs(found.astype(float) - wanted.permute(1, 2, 0).numpy() * 255)[inside].max() <= 0.51


def test_a_run_learns_goes_on_and_writes_the_models_own_upscaler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscaler, "HELD", 2)
    model, out, minutes = build_tiny_sd(tmp_path / "model"), tmp_path / "out", 0.01
    for _ in range(2):
        budget = ["--minutes", str(minutes), "--photographs", "5", "--batch", "2", "--threads", "2"]
        file = main(["--model", str(model), "--out", str(out), *budget])
        # A busy machine may take seconds for a step: more than each stage has had.
        spent = {stage: torch.load(out / f"{stage}.pt")["journal"]["spent"] for stage in SHARES}
        minutes = max(spent[stage] / share for stage, share in SHARES.items()) + 0.01
    rows = [row.split(",") for row in (out / "log.csv").read_text().splitlines()[1:]]
    for stage in ("upscaler near", "upscaler crisp"):
        steps = [int(row[1]) for row in rows if row[0] == stage]
        assert len(steps) == 2
        assert steps[1] > steps[0], "it goes on where it was"
    assert all(np.isfinite(float(row[3])) for row in rows)
    assert file == model / "upscaler.onnx"
    assert OnnxUpscaler(str(file)).factor == FACTOR


@pytest.mark.parametrize(
    "scene",
    [
        "wooden_table",
        "white_studio",
        pytest.param("kitchen", marks=pytest.mark.soak),
        pytest.param("garden", marks=pytest.mark.soak),
    ],
)
def test_what_ships_mends_a_rough_picture_and_gives_it_edges(scene: str) -> None:
    """Of a clean one, which the model does not draw, it is further from the photograph than scaling is."""
    spec = random_product(np.random.default_rng(4242))
    large = shoot(spec, SCENES[scene], 991_000, 512).photograph.image
    rough = as_drawn(load_base(MODEL, "float32", "cpu").pipeline.vae, large[None], 5)[0, -1]
    scaled = likeness(large, scale_rgb(rough, 512, 512))
    mended = likeness(large, OnnxUpscaler(str(MODEL / "upscaler.onnx"))(rough, 512))
    assert mended["psnr"] > scaled["psnr"] + 0.5
    assert mended["gmsd"] < scaled["gmsd"]
    assert 1 > mended["detail"] > 3 * scaled["detail"]
