"""The bench of letters tells products with letters from those without, and keeps its table."""

import numpy as np

from tasks.imaging.decode import encode_png
from tests.bench import bench_label
from tests.imaging.pictures import labelled, mug


def test_products_with_and_without_letters_are_judged_apart_and_kept(tmp_path, capsys, monkeypatch):
    for name, lines in {"printed": ["NORTHWIND"], "plain": []}.items():
        for number in range(2):
            file = tmp_path / "photos" / name / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            picture = labelled(mug(64)[0], *lines) if lines else mug(64)[0]
            file.write_bytes(encode_png(np.ascontiguousarray(picture)))
    monkeypatch.setattr(bench_label, "lines_in", _read)
    bench_label.main([str(tmp_path / "photos"), "--side", "64", "--results", str(tmp_path / "results")])
    told = capsys.readouterr().out
    assert "4 photos of 1 products with letters and 1 without, 64 pixels" in told
    rows = [line.split("|")[1:-1] for line in told.splitlines() if line.startswith("|") and "pixels" in line]
    assert [row[0].split()[2] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    assert float(rows[0][1]) == 1, "what has hardly moved is read"
    assert float(rows[-1][1]) == 0
    assert len(list((tmp_path / "results").glob("*-label-*.md"))) == 1


def _read(rgb):
    """Reads the band of paper, for as long as its upper edge is straight."""
    edge = (rgb[:, 22:38].astype(int).mean(axis=2) > 225).argmax(axis=0)
    return ["NORTHWIND"] if 20 < np.median(edge) < 32 and np.ptp(edge) <= 1 else []
