"""The benchmark runs, and its numbers hang together."""

import json

import pytest
import torch
from diffusers import UNet2DConditionModel

from tasks.engine.base_model import load_base
from tests.bench.architectures import PARAMETERS, UNETS
from tests.bench.bench_train import _options, _write, by_blocks, markdown, measure
from tests.bench.kernels import Span, idle, kind_of
from tests.models.tiny import build_tiny_sd


def test_the_script_is_not_given_less_to_do_than_the_cohort(capsys):
    with pytest.raises(SystemExit):
        _options(["--script", "script.py"])
    assert "--prior images" in capsys.readouterr().err


SCRIPT = """
import sys, time
assert any(word.startswith("--instance_prompt=") for word in sys.argv)
(steps,) = [int(word.split("=")[1]) for word in sys.argv if word.startswith("--max_train_steps=")]
for step in range(1, steps + 1):
    time.sleep(0.05)
    print(f"Steps:  1%|#  | {step}/{steps} [00:00<00:00]", end="\\r", file=sys.stderr, flush=True)
time.sleep(60)  # nobody waits for what comes after the counted steps
"""


def test_a_table_grows_row_by_row_and_a_profile_says_what_the_time_went_to(tmp_path):
    model, kept = build_tiny_sd(tmp_path / "model"), []
    arguments = ["--cohorts", "1,2", "--steps", "1", "--rank", "2", "--prior", "none", "--profile", "2", "--no-plain"]
    base = load_base(model, "float32", "cpu")
    report = measure(base, model, _options(arguments), lambda report: kept.append(len(report["rows"])))
    assert kept == [1, 2]
    (profile,) = report["profiles"]
    assert (profile["name"], profile["skus"]) == ("cohort, eager", 2)
    assert profile["milliseconds"]["matrix products"] > 0 < profile["milliseconds"]["convolutions"]
    assert "| cohort, eager | 2 |" in markdown(report).split("Milliseconds of one step")[1]


def test_a_script_that_fails_is_told_with_its_words_and_costs_no_other_row(tmp_path):
    model, script = build_tiny_sd(tmp_path / "model"), tmp_path / "script.py"
    script.write_text("raise SystemExit('no such option')")
    options = _options(["--cohorts", "1", "--steps", "1", "--prior", "none", "--script", str(script)])
    report = measure(load_base(model, "float32", "cpu"), model, options)
    assert [row["name"] for row in report["rows"]] == ["plain loop, eager", "cohort, eager"]
    assert "diffusers' script, 1 SKUs: no such option" in markdown(report)


def test_blocks_compiled_each_for_itself_compute_the_same(tmp_path):
    base = load_base(build_tiny_sd(tmp_path / "model"), "float32", "cpu")
    inputs = torch.randn(2, 4, 8, 8), torch.tensor([3, 500]), torch.randn(2, 7, 32)
    before = set(base.unet.state_dict())
    torch.compiler.reset()
    found, expected = by_blocks(base, backend="aot_eager")(*inputs).sample, base.unet(*inputs).sample
    assert torch.allclose(found, expected, atol=1e-5)
    assert set(base.unet.state_dict()) == before


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_architectures_have_the_published_number_of_parameters(name):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**UNETS[name])
    assert sum(weight.numel() for weight in unet.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        ("nvjet_tst_256x128_64x4_1x2_h_bz_coopA_NNT", "matrix products"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64", "convolutions"),
        ("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64", "matrix products"),
        ("void pytorch_flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128>>", "attention"),
        ("cudnn_generated_fort_native_sdpa_sm90_flash_bprop_wgmma_f16", "attention"),
        ("void cudnn::ops::nchwToNhwcKernel<__nv_bfloat16>", "copies and layout"),
        ("Memcpy DtoD (Device -> Device)", "copies and layout"),
        ("triton_poi_fused__to_copy_add_convolution_native_group_norm_silu_12", "normalisation and elementwise"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add>",
            "normalisation and elementwise",
        ),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::bfloat16_copy_kernel_cuda>",
            "copies and layout",
        ),
        ("void at::native::RowwiseMomentsCUDAKernel<c10::BFloat16>", "normalisation and elementwise"),
        ("void at::native::elementwise_kernel<lerp_scalar_kernel>", "optimizer"),
    ],
)
def test_kernels_are_told_by_their_names(kernel, kind):
    assert kind_of(kernel) == kind


def test_idle_time_is_what_no_kernel_covers():
    spans = [Span("a", 0, 40), Span("b", 30, 20), Span("c", 90, 10)]
    assert idle(spans, 2) == {"kernels": 1.5, "step_milliseconds": 5e-5, "idle": pytest.approx(0.4)}


@pytest.mark.parametrize("prior", ["prediction", "none", "images"])
def test_the_benchmark_reports_every_cohort_beside_the_plain_loop(tmp_path, prior, capsys):
    model = build_tiny_sd(tmp_path / "model")
    script = tmp_path / "script.py"  # takes what diffusers' takes, and no time
    script.write_text(SCRIPT)
    arguments = ["--cohorts", "1,2", "--steps", "2", "--rank", "2", "--prior", prior, "--class-images", "2"]
    compared = prior != "prediction"  # which the script does not have
    arguments += ["--script", str(script)] if compared else []
    options = _options([*arguments, "--results", str(tmp_path / "results")])
    _write(measure(load_base(model, "float32", "cpu"), model, options), options.results)
    (file,) = (tmp_path / "results").glob("*.json")
    report = json.loads(file.read_text())
    assert file.with_suffix(".md").read_text().count("cohort, eager") == 2
    assert [(row["name"], row["skus"]) for row in report["rows"]] == [
        *([("diffusers' script", 1)] if compared else []),
        ("plain loop, eager", 1),
        ("cohort, eager", 1),
        ("cohort, eager", 2),
    ]
    assert report["rows"][0]["times"] == 1
    for row in report["rows"]:
        assert row["skus_per_hour"] * row["seconds_per_sku"] == pytest.approx(3600)
        assert row["tflops"] == pytest.approx(report["step_tflop_per_sku"] * row["skus"] / row["step_seconds"])
        assert row["memory_gb"] > 0 or row["name"] == "diffusers' script"
    assert "cohort, eager" in capsys.readouterr().out
