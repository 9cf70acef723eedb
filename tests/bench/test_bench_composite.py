"""The composite benchmark measures what it says."""

import json

import numpy as np

from infra.demo.products import random_product
from tests.bench.bench_composite import Case, composed, judged, main, taken


def test_each_composite_is_judged_beside_the_pasted_product_and_kept(tmp_path, capsys):
    main(["--photos", "2", "--side", "64", "--results", str(tmp_path)])
    (file,) = tmp_path.glob("*-composite-*.json")
    rows = json.loads(file.read_text())["rows"]
    assert sum(row["photos"] for row in rows) == 2
    assert all(0 < row["foot"] < 128 and 0 < row["foot, pasted"] < 128 for row in rows)
    assert "| foot, pasted |" in capsys.readouterr().out


def test_a_product_is_taken_away_with_its_shadow_and_the_truth_has_no_error():
    case = taken(random_product(np.random.default_rng(1)), "white_studio", 1, 64)
    far = case.mask == 0
    assert (case.truth[far] != case.scene[far]).any(), "its shadow"
    assert np.abs(case.truth[:8].astype(int) - case.scene[:8]).max() <= 1
    ideal = judged(Case(case.truth, case.scene, case.truth, case.mask), case.truth, case.mask)
    assert ideal["foot"] == ideal["product"] == ideal["moved"] == 0
    assert ideal["foot, pasted"] > 0
    _, mask = composed(case)
    assert np.abs(mask - case.mask).mean() < 0.02
