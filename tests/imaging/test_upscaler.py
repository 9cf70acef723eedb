"""A network in an ONNX file enlarges pictures of any size, tile by tile, and no tile shows."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from catalog_schemas.errors import ModelError, Rejected
from tasks.imaging.upscaler import Upscaler, load_upscaler
from tests.imaging.networks import ANY, Size, enlarging, write_network
from tests.imaging.pictures import mug

LARGE = 1 << 14


def picture(height: int, width: int) -> np.ndarray:
    """Colours without a pattern."""
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (61, 83), (320, 320), (321, 200), (700, 1001)])
@pytest.mark.parametrize("size", [ANY, (1, 3, 96, 128), ("batch", "channels", 64, 64)], ids=["any", "96x128", "64x64"])
@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_each_pixel_becomes_a_square_wherever_tiles_end(tmp_path: Path, shape, size: Size, kind) -> None:
    large = Upscaler(str(enlarging(tmp_path / "net.onnx", 2, size, kind=kind)))(picture(*shape), LARGE)
    assert (large == np.repeat(np.repeat(picture(*shape), 2, axis=0), 2, axis=1)).all()


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_what_a_network_sees_around_a_pixel_is_there_at_the_end_of_a_tile(tmp_path: Path, factor: int) -> None:
    """Each pixel is the mean of those up to 12 away: by tiles it is the same as in one piece."""
    upscaler = Upscaler(str(enlarging(tmp_path / "net.onnx", factor, reach=12)))
    rgb = picture(400, 333)
    whole = np.pad(rgb, ((12, 12), (12, 12), (0, 0)), "constant").astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (25, 25), axis=(0, 1)).mean(axis=(-1, -2))
    found = upscaler(rgb, LARGE)[::factor, ::factor].astype(float)
    inside = slice(12, -12), slice(12, -12)  # networks pad what is beyond the picture in ways of their own
    assert np.abs(found - windows)[inside].max() <= 0.51


@pytest.mark.parametrize(("maximum", "size"), [(200, (200, 150)), (160, (160, 120)), (80, (80, 60)), (50, (80, 60))])
def test_it_ends_at_the_longest_side_and_never_makes_a_picture_smaller(tmp_path: Path, maximum: int, size) -> None:
    rgb = picture(80, 60)
    large = Upscaler(str(enlarging(tmp_path / "net.onnx", 4)))(rgb, maximum)
    assert large.shape[:2] == size
    assert (large is rgb) == (size == (80, 60))


def test_a_network_that_needs_sides_of_a_multiple_has_them(tmp_path: Path) -> None:
    """One that folds squares of 8 pixels into channels first, and unfolds them."""
    nodes = [
        helper.make_node("SpaceToDepth", ["picture"], ["folded"], blocksize=8),
        helper.make_node("DepthToSpace", ["folded"], ["same"], blocksize=8),
        helper.make_node("Resize", ["same", "", "scales"], ["large"], mode="nearest"),
    ]
    path = write_network(tmp_path / "net.onnx", nodes, {"scales": np.array([1, 1, 2, 2], np.float32)}, ANY, "large")
    large = Upscaler(str(path))(picture(61, 331), LARGE)
    assert (large[::2, ::2] == picture(61, 331)).all()


def test_colours_stay_and_what_leaves_the_range_is_cut(tmp_path: Path) -> None:
    upscaler = Upscaler(str(enlarging(tmp_path / "net.onnx", 2, gain=1.5)))
    rgb, _ = mug(100)
    found = upscaler(rgb, LARGE)[::2, ::2].astype(float)
    assert np.abs(found - np.clip(rgb * 1.5, 0, 255)).max() <= 0.51


def test_pixels_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    upscaler = Upscaler(str(enlarging(tmp_path / "net.onnx", 2, kind="float16", gain=60000.0)))
    assert upscaler.factor == 2
    huge = Upscaler(str(enlarging(tmp_path / "huge.onnx", 2, gain=float("inf"))))
    with pytest.raises(Rejected, match="the upscaler's pixels were not finite"):
        huge(picture(8, 8), LARGE)


def test_it_is_loaded_once(tmp_path: Path) -> None:
    path = str(enlarging(tmp_path / "net.onnx", 2))
    assert load_upscaler(path) is load_upscaler(path)


@pytest.mark.parametrize(
    ("nodes", "size", "says"),
    [
        ("Identity", ANY, r"two or more times as large, but it gives \(1, 3, 64, 64\)"),
        ("GlobalAveragePool", ANY, r"two or more times as large, but it gives \(1, 3, 1, 1\)"),
        ("Flatten", (1, 3, 64, 64), r"two or more times as large, but it gives \(1, 12288\)"),
        ("Identity", (1, 3, 32, 32), r"at least 64 pixels a side, but it takes only 32 x 32"),
        ("Identity", (1, 1, 64, 64), r"the network failed on a picture"),
    ],
)
def test_a_network_for_something_else_is_told(tmp_path: Path, nodes: str, size: Size, says: str) -> None:
    one = [helper.make_node(nodes, ["picture"], ["answer"])]
    with pytest.raises(ModelError, match=rf"net\.onnx: .*{says}"):
        load_upscaler(str(write_network(tmp_path / "net.onnx", one, {}, size, "answer"))).factor  # noqa: B018
