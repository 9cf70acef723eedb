"""A picture is judged by what is written on the product: other, missing and made-up letters count against it."""

import importlib
import importlib.util

import cv2
import numpy as np
import pytest
from cachetools import cached

from catalog_schemas.errors import ConfigError
from tasks.checks import ProductPhotos, Subject, label
from tasks.imaging.lettering import lines_in
from tasks.imaging.pixels import Mask, Rgb
from tasks.techniques import CutOut, Pixels
from tests.imaging.pictures import labelled, melted, mug
from tests.tasks.checks.test_novelty import SPEC

PLAIN, MASK = mug(384)
PRINTED = labelled(PLAIN, "NORTHWIND", "pale ale")


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that several tests show is read once: a second each."""
    monkeypatch.setattr(label, "lines_in", _read_once)


@cached({}, key=lambda rgb, mask=None: (rgb.tobytes(), None if mask is None else mask.tobytes()))
def _read_once(rgb: Rgb, mask: Mask | None = None) -> list[str]:
    return lines_in(rgb, mask)


def judged(image: Rgb, *photos: Rgb, mask: Mask | None = None) -> float:
    shown = ProductPhotos(lambda: [CutOut(photo, MASK) for photo in photos])
    return label.measure(Subject(SPEC, Pixels(image, mask), shown, [], "sks", None))


def test_the_products_own_print_is_no_other_though_the_picture_is_smaller_or_noisy() -> None:
    assert judged(PRINTED, PRINTED) == 1
    assert judged(PRINTED, cv2.resize(PRINTED, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)) == 1
    noisy = PRINTED + np.random.default_rng(1).normal(0, 8, PRINTED.shape)
    assert judged(np.clip(noisy, 0, 255).astype(np.uint8), PRINTED) > 0.9


def test_letters_that_melted_are_missing_or_are_others_count_against_it() -> None:
    assert judged(melted(PRINTED, 1), PRINTED) > 0.9
    assert judged(melted(PRINTED, 3.5), PRINTED) < 0.6
    assert 0.5 < judged(labelled(PLAIN, "NORTHWIND"), PRINTED) < 0.8, "a line is missing"
    assert judged(labelled(PLAIN, "GUSTBLOCK", "fizzy cup"), PRINTED) < 0.2
    assert judged(PLAIN, PRINTED) == 0


def test_a_product_without_letters_bears_none_and_may_be_shown_from_a_side_without() -> None:
    assert judged(PLAIN, PLAIN) == 1
    assert judged(PRINTED, PLAIN) == 0, "they are made up"
    assert judged(PLAIN, PRINTED, PLAIN) == 1
    assert judged(PRINTED, PLAIN, PRINTED) == 1
    assert judged(PRINTED, PLAIN, mask=np.zeros(MASK.shape, np.float32)) == 1, "they stand beside the product"


def test_case_width_and_signs_make_no_other_letters_and_two_letters_are_no_line() -> None:
    assert label.pairs_in(["Pale-Ale ４"]) == label.pairs_in(["PALE", "ale4"]) + label.Pairs([("e", "a")])
    assert label.pairs_in(["XL", "0!", ""]) == label.Pairs()
    assert label.dice(label.pairs_in(["night"]), label.pairs_in(["nacht"])) == 0.25


def test_it_says_what_to_install_where_nothing_reads_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'packshot\[ocr\]'"):
        importlib.reload(label)
