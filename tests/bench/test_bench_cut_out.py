"""The cut-out benchmark measures what it says."""

import json

from tests.bench.bench_cut_out import main, photographs


def test_each_photograph_is_judged_and_kept(tmp_path, capsys):
    main(["--photos", "6", "--side", "96", "--results", str(tmp_path)])
    (file,) = tmp_path.glob("*-cut-out-*.json")
    report = json.loads(file.read_text())
    assert sum(row["photos"] for row in report["rows"]) == 6
    assert all(0 < row["cut_out: mean"] <= 1 for row in report["rows"])
    assert "| colours alone: mean |" in capsys.readouterr().out


def test_the_masks_are_the_photographs_own():
    for _, rgb, mask in photographs(3, 1, 64):
        assert rgb.shape[:2] == mask.shape
        assert 0.01 < mask.mean() < 0.9
