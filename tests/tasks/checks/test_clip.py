"""What a CLIP model is asked: is it this product, and is it what the prompt says?"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from catalog_schemas.variant import VariantSpec
from tasks.checks import ProductPhotos, Subject, agreement, likeness
from tasks.techniques import CutOut, Pixels
from tests.imaging.pictures import mug

SPEC = VariantSpec(
    "mug", "", "", "", "regenerate", 0, "a photo of a sks mug on sksroad", *[""] * 5, (), 1, 1.0, "", 64, 64, 0.8, 1
)
MASK = mug(64)[1]


class Scorer:
    """A picture's features are two of its values, in hundredths; texts are noted, and all alike."""

    def __init__(self) -> None:
        self.asked, self.read = 0, list[str]()

    def images(self, pictures: list[np.ndarray]) -> np.ndarray:
        self.asked += len(pictures)
        return np.array([picture[0, 0, :2] / 100 for picture in pictures])

    def texts(self, texts: list[str]) -> np.ndarray:
        self.read += texts
        return np.array([[0.0, 1.0] for _ in texts])


def _picture(first: int, second: int) -> np.ndarray:
    return np.full((64, 64, 3), (first, second, 0), np.uint8)


def _subject(scorer: Scorer | None, spec: VariantSpec = SPEC) -> Subject:
    photos = [CutOut(_picture(*values), MASK) for values in ((0, 50), (100, 0), (0, 0))]
    return Subject(spec, Pixels(_picture(50, 100), None), ProductPhotos(lambda: photos), [], "sks", cast(Any, scorer))


def test_an_image_is_as_like_the_product_as_it_is_like_the_photo_nearest_to_it() -> None:
    subject = _subject(scorer := Scorer())
    assert likeness.measure(subject) == pytest.approx(0.5)
    assert likeness.measure(replace(subject, pixels=Pixels(_picture(100, 0), None))) == pytest.approx(1.0)
    assert scorer.asked == 2 + 3, "photos are looked at once for all images"


def test_an_image_agrees_with_its_prompt_without_the_products_own_word() -> None:
    scorer = Scorer()
    assert agreement.measure(_subject(scorer)) == pytest.approx(1.0)
    assert scorer.read == ["a photo of a mug on sksroad"]


def test_nothing_is_said_of_what_was_not_drawn_or_without_a_model() -> None:
    assert agreement.measure(_subject(Scorer(), replace(SPEC, prompt=""))) is None
    assert agreement.measure(_subject(None)) is None
    assert likeness.measure(_subject(None)) is None
