"""The cut-out benchmark measures what it says."""

import json

from tests.bench.bench_cut_out import main, photographs
from tests.imaging.networks import colourful


def test_each_photograph_is_judged_by_each_way_and_kept(tmp_path, capsys):
    network = colourful(tmp_path / "network.onnx")
    results = ["--results", str(tmp_path)]
    main(["--photos", "6", "--side", "96", "--segmenter", str(network), "--mean", *"000", "--std", *"111", *results])
    (file,) = tmp_path.glob("*-cut-out-*.json")
    report = json.loads(file.read_text())
    ways = ("cut_out", "colours alone", "with a network", "network alone")
    for way in ways:
        rows = [row for row in report["rows"] if row["by"] == way]
        assert sum(row["photos"] for row in rows) == 6
        assert all(0 < row["mean"] <= 1 for row in rows)
    assert report["segmenter"].startswith("network.onnx, sha256 ")
    assert "| colours alone |" in capsys.readouterr().out


def test_the_masks_are_the_photographs_own():
    for _, rgb, mask in photographs(3, 1, 64):
        assert rgb.shape[:2] == mask.shape
        assert 0.01 < mask.mean() < 0.9
