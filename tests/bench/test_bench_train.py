"""The benchmark runs, and its numbers hang together."""

import json

import pytest

from tasks.engine.base_model import load_base
from tests.bench.bench_train import _options, _write, measure
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
