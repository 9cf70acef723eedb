"""The recolouring benchmark measures what it says."""

import json

import numpy as np
import pytest

from infra.demo.materials import hex_of
from tests.bench import bench_recolour
from tests.bench.bench_recolour import MEANT, judged, main, photographs


def test_each_product_is_judged_and_the_table_is_kept(tmp_path, capsys):
    main(["--products", "4", "--side", "64", "--results", str(tmp_path)])
    (file,) = tmp_path.glob("*-recolour-*.json")
    report = json.loads(file.read_text())
    assert sum(row["number"] for row in report["rows"]) == 16, "each with four words, one of them none"
    meant = [row for row in report["rows"] if row["products"].endswith(MEANT)]
    found = sum(row["above 0.9"] for row in meant)
    assert found + sum(map(len, report["wrong"].values())) == 8
    assert "| median CIEDE2000 |" in capsys.readouterr().out


def test_what_is_recoloured_as_its_maker_would_is_found_and_what_is_left_as_it_was_is_not(monkeypatch):
    (pair,) = photographs(1, 1, 96)
    for rgb, overlap in ((pair.other, 1.0), (pair.rgb, 0.0)):
        monkeypatch.setattr(
            bench_recolour, "in_colour", lambda photo, colour, own, rgb=rgb: photo.__class__(rgb, photo.mask)
        )
        measured = judged(pair)
        assert measured[0] == overlap
    assert measured[1] > 5, "the colour that was wanted is another"
    assert hex_of(pair.colour) != hex_of(pair.spec.colour)
    assert np.abs(pair.rgb.astype(int) - pair.other)[pair.mask == 0].max() < 40, "in the same light"
    monkeypatch.undo()
    assert judged(pair)[1] == pytest.approx(0, abs=8)
