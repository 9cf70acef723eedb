"""A network in an ONNX file finds the product, whatever its size, its numbers and its kind of answer."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from catalog_schemas.errors import ModelError
from tasks.imaging.cut_out import cut_out
from tasks.imaging.segmenter import load_segmenter
from tests.imaging.networks import ANY, Size, colourful, write_network
from tests.imaging.pictures import mug, overlap

ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@pytest.mark.parametrize("size", [ANY, (1, 3, 320, 320), ("batch", 3, 256, 320)])
@pytest.mark.parametrize("kind", ["float32", "float16"])
@pytest.mark.parametrize("logits", [False, True], ids=["probabilities", "logits"])
def test_what_the_network_finds_is_found_in_the_pictures_own_size(tmp_path: Path, size: Size, kind, logits) -> None:
    path = colourful(tmp_path / "network.onnx", size, logits=logits, kind=kind)
    rgb, _ = mug(300, noise=0)
    found = load_segmenter(str(path), ZERO, ONE)(rgb[:, :260])
    coloured = np.ptp(rgb[:, :260].astype(np.float32) / 255, axis=2) > 0.25
    assert (found.shape, found.dtype) == ((300, 260), np.float32)
    assert 0.0 <= found.min() < 0.01
    assert 0.99 < found.max() <= 1.0
    assert overlap(np.rint(found), coloured.astype(np.float32)) > 0.95


def test_the_network_is_given_what_it_was_trained_on(tmp_path: Path) -> None:
    """Red, green and blue, each less its mean and divided by its spread."""
    nodes = [helper.make_node("Slice", ["picture", "first", "last", "axis"], ["mask"])]
    for channel, expected in enumerate([(0.8 - 0.5) / 0.5, (0.4 - 0.2) / 1.0, (0.2 - 0.1) / 0.25]):
        ends: dict[str, float | list[int]] = {"first": [channel], "last": [channel + 1]}
        path = write_network(tmp_path / f"{channel}.onnx", nodes, ends, ANY, "mask")
        rgb = np.full((40, 30, 3), (204, 102, 51), np.uint8)
        assert load_segmenter(str(path), (0.5, 0.2, 0.1), (0.5, 1.0, 0.25))(rgb) == pytest.approx(expected, abs=1e-5)


def test_an_answer_that_is_no_number_finds_nothing_there(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["picture", "axis"], ["most"], keepdims=1),
        helper.make_node("Div", ["most", "most"], ["mask"]),
    ]
    found = load_segmenter(str(write_network(tmp_path / "n.onnx", nodes, {}, ANY, "mask")), ZERO, ONE)
    rgb = np.zeros((32, 32, 3), np.uint8)
    assert (found(rgb) == 0.0).all()


def test_it_is_loaded_once(tmp_path: Path) -> None:
    path = str(colourful(tmp_path / "network.onnx"))
    assert load_segmenter(path, ZERO, ONE) is load_segmenter(path, ZERO, ONE)
    assert load_segmenter(path, ZERO, ONE) is not load_segmenter(path, ONE, ONE)


@pytest.mark.parametrize("rubbish", [b"", b"\x89PNG\r\n\x1a\n" + b"x" * 4000, b"{}"])
def test_a_file_that_is_no_network_is_told(tmp_path: Path, rubbish: bytes) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(rubbish)
    with pytest.raises(ModelError, match=r"network\.onnx: expected a network in an ONNX file, but "):
        load_segmenter(str(path), ZERO, ONE)


def test_a_network_for_something_else_is_told(tmp_path: Path) -> None:
    copy = [helper.make_node("Identity", ["picture"], ["answer"])]
    words = write_network(tmp_path / "words.onnx", copy, {}, (1, 77), "answer")
    with pytest.raises(ModelError, match=r"words\.onnx: expected a network that takes pictures .* picture \[1, 77\]"):
        load_segmenter(str(words), ZERO, ONE)
    painter = load_segmenter(str(write_network(tmp_path / "painter.onnx", copy, {}, ANY, "answer")), ZERO, ONE)
    with pytest.raises(ModelError, match=r"painter\.onnx: expected a mask .* gives \(1, 3, 1024, 1024\)"):
        painter(np.zeros((32, 32, 3), np.uint8))
    grey = load_segmenter(str(write_network(tmp_path / "grey.onnx", copy, {}, (1, 1, 64, 64), "answer")), ZERO, ONE)
    with pytest.raises(ModelError, match=r"grey\.onnx: the network failed on a picture"):
        grey(np.zeros((32, 32, 3), np.uint8))


def test_the_same_photo_gives_the_same_mask(tmp_path: Path) -> None:
    segmenter = load_segmenter(str(colourful(tmp_path / "network.onnx")), ZERO, ONE)
    rgb, _ = mug(300)
    assert (cut_out(rgb, segmenter) == cut_out(rgb, segmenter)).all()
