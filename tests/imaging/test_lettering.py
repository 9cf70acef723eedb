"""Lines of text are read off pictures, and none off pictures that bear none."""

from types import SimpleNamespace

import numpy as np
import pytest

from tasks.imaging import lettering
from tasks.imaging.lettering import lines_in
from tests.imaging.pictures import labelled, mug

PLAIN, MASK = mug(384)


def test_what_is_printed_is_read_and_a_plain_product_bears_nothing() -> None:
    assert sorted(lines_in(labelled(PLAIN, "NORTHWIND", "pale ale"))) == ["NORTHWIND", "pale ale"]
    assert lines_in(PLAIN) == []
    assert lines_in(np.zeros((8, 8, 3), np.uint8)) == []


def test_only_what_stands_on_the_product_counts_where_its_mask_is_known() -> None:
    rgb = labelled(PLAIN, "NORTHWIND")
    assert lines_in(rgb, MASK) == ["NORTHWIND"]
    assert lines_in(rgb, 1 - MASK) == []


def test_what_is_hardly_legible_is_not_read_and_a_line_at_the_frame_belongs_to_what_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    middles = ((30, 5), (10, 5), (45, 25))  # column and row; the last one lies outside
    boxes = np.array([[(column - 4, row - 2), (column + 4, row + 2)] for column, row in middles], float)

    def reader(picture: np.ndarray) -> SimpleNamespace:
        assert picture[0, 0].tolist() == [0, 0, 200], "blue first, as the networks have learned"
        return SimpleNamespace(boxes=boxes, txts=("right", "left", "corner"), scores=(0.9, 0.6, 0.7))

    monkeypatch.setattr(lettering, "_idle", idle := [reader])
    rgb, right = np.zeros((20, 40, 3), np.uint8), np.zeros((20, 40), np.float32)
    right[:, 20:], rgb[..., 0] = 1, 200
    assert lines_in(rgb) == lines_in(rgb, right) == ["right", "corner"]
    assert lines_in(rgb, 1 - right) == []
    assert idle == [reader], "it reads the next picture, too"
