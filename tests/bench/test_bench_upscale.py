"""The benchmark of enlarging measures what it says."""

import json

import numpy as np
from PIL import Image

from tests.bench.bench_upscale import likeness, main
from tests.imaging.networks import enlarging
from tests.imaging.pictures import mug


def test_each_way_is_judged_and_kept(tmp_path, capsys):
    network = enlarging(tmp_path / "network.onnx", 2)
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        Image.fromarray(mug(200, noise=number)[0]).save(tmp_path / "pictures" / f"{number}.png")
    for of in ([], ["--pictures", str(tmp_path / "pictures")]):
        main(["--upscaler", str(network), "--side", "97", "--count", "2", "--results", str(tmp_path), *of])
        (file,) = tmp_path.glob("*-upscale-*.json")
        report = json.loads(file.read_text())
        lanczos, squares = report["rows"]
        assert (report["pictures"], report["side"], report["factor"]) == (2, 96, 2)
        assert lanczos["psnr"] > squares["psnr"] > 15, "squares are further from the truth"
        assert min(lanczos["gmsd"], squares["gmsd"]) > 0
        assert lanczos["detail"] < squares["detail"]
    assert "| Lanczos |" in capsys.readouterr().out


def test_a_picture_is_like_itself_and_a_soft_one_has_less_detail():
    rgb, _ = mug(128)
    same, soft = likeness(rgb, rgb), likeness(rgb, np.asarray(Image.fromarray(rgb).reduce(2).resize((128, 128))))
    assert (same["gmsd"], same["detail"]) == (0.0, 1.0)
    assert soft["psnr"] < same["psnr"]
    assert soft["gmsd"] > 0.01
    assert soft["detail"] < 0.9
