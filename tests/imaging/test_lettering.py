"""Lines of text are read off pictures, and none off pictures that bear none."""

import numpy as np

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
