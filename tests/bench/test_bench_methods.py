"""Every way of training goes through the benchmark, and is told apart by it."""

from PIL import Image

from tasks.engine.base_model import load_base
from tasks.engine.similarity import load_scorer
from tests.bench.bench_methods import WAYS, measure, parse
from tests.engine.material import photo
from tests.models.tiny import build_tiny_clip, build_tiny_sd


def test_every_way_has_its_row(tmp_path):
    model, clip = build_tiny_sd(tmp_path / "model", levels=1), build_tiny_clip(tmp_path / "clip")
    for number, noun in enumerate(("mug", "toy-car")):
        (tmp_path / "products" / noun).mkdir(parents=True)
        for shot in range(2):
            Image.fromarray(photo(2 * number + shot).rgb).save(tmp_path / "products" / noun / f"{shot}.png")
    arguments = ["--model", str(model), "--clip", str(clip), "--products", str(tmp_path / "products")]
    options = parse([*arguments, "--steps", "2", "--rank", "2", "--draw-steps", "1"])
    report = measure(load_base(model, "float32", "cpu"), load_scorer(clip), options)
    rows = {row["way"]: row for row in report["rows"]}
    assert list(rows) == ["base model", *WAYS]
    assert report["products"] == ["mug", "toy-car"]
    assert all(-1 <= row["likeness"] <= 1 and row["variety"] >= 0 for row in rows.values())
    assert rows["textual inversion"]["bytes"] < rows["LoRA"]["bytes"] < rows["full DreamBooth"]["bytes"]
    assert (
        rows["LoRA"]["loss_after"] == rows["LoRA, one at a time"]["loss_after"]
        or abs(rows["LoRA"]["loss_after"] - rows["LoRA, one at a time"]["loss_after"]) < 1e-4
    )
