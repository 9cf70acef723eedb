"""What a product in training is judged by."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from catalog_schemas.reference import Reference
from configs.schema import RunConfig
from configs.training import EvaluationConfig
from tasks.engine.evaluation import Evaluation, Score
from tasks.engine.jobs import TrainingJob
from tasks.engine.rendering import RenderRequest
from tasks.imaging.decode import encode_png
from tasks.storage.objects import ObjectStore
from tasks.training.evaluation import PLACES, evaluation_of
from tests.configs_tiny import tiny_config


class Scorer:
    """All pictures and texts are alike."""

    def __init__(self) -> None:
        self.read = list[str]()

    def images(self, pictures: list[np.ndarray]) -> np.ndarray:
        return np.ones((len(pictures), 1))

    def texts(self, texts: list[str]) -> np.ndarray:
        self.read += texts
        return np.ones((len(texts), 1))


class Mirror:
    """A picture's features are two of its values, in hundredths, and a text's those of its place."""

    def images(self, pictures: list[np.ndarray]) -> np.ndarray:
        return np.array([picture[0, 0, :2] / 100 for picture in pictures])

    def texts(self, texts: list[str]) -> np.ndarray:
        at = [PLACES.index(text.removeprefix("a photo of a mug")) for text in texts]
        return np.array([[10.0**place, 0.0] for place in at])


def _picture(first: int, second: int) -> np.ndarray:
    return np.full((64, 64, 3), (first, second, 0), np.uint8)


def _mug(tmp_path: Path, **changes: Any) -> tuple[TrainingJob, Evaluation]:
    """A mug in training with two held-out photos, and how it is looked at."""
    config = tiny_config(Path("model"), **changes)
    context, store = SimpleNamespace(config=RunConfig.model_validate(config), resolution=64), ObjectStore(str(tmp_path))
    photos = list[Reference]()
    for name, picture in {"p1": _picture(100, 0), "p2": _picture(50, 100)}.items():
        store.write(f"{name}.png", encode_png(picture))
        photos.append(Reference(name, "mug", f"{name}.png", f"{name}.png", "", 64, 64, "given", 1.0, 1.0))
    looks = context.config.training.evaluation or EvaluationConfig()
    evaluation = evaluation_of(context, looks, Mirror(), {"id": tuple(photos)}, store)
    return TrainingJob("id", "mug", "a photo of a sks mug, white", "", (), 1, 0), evaluation


def test_a_look_is_a_picture_of_the_product_in_each_place_with_a_seed_of_its_own(tmp_path: Path) -> None:
    looks = {"every": 7, "patience": 5, "gain": 0.25, "forfeit": 0.75}
    job, evaluation = _mug(
        tmp_path,
        training={"backdrop": "white", "evaluation": looks},
        compute={"batch_size": 3},
        generation={"steps": 2},
    )
    assert evaluation.requests(job) == [
        RenderRequest("a photo of a sks mug", "", 0),
        RenderRequest("a photo of a sks mug, on a wooden table", "", 1),
        RenderRequest("a photo of a sks mug, on green grass in a garden", "", 2),
        RenderRequest("a photo of a sks mug, on white marble", "", 3),
    ]
    assert {name: getattr(evaluation, name) for name in looks} == looks
    assert evaluation.batch_size == 3
    assert (evaluation.settings.steps, evaluation.settings.width, evaluation.settings.height) == (2, 64, 64)


def test_likeness_is_to_all_held_out_photos_and_each_picture_is_held_to_its_own_prompt(tmp_path: Path) -> None:
    job, evaluation = _mug(tmp_path, training={"backdrop": "white"})
    images = [_picture(100, 0), None, _picture(0, 100), _picture(50, 0)]
    score = evaluation.score(job, images)
    assert score.likeness == pytest.approx((1.0 + 0.5 + 0.0 + 1.0 + 0.5 + 0.25) / 6)
    assert score.agreement == pytest.approx((1.0 * 1 + 0.0 * 100 + 0.5 * 1000) / 3)


def test_a_look_of_which_no_picture_is_finite_is_worse_than_any(tmp_path: Path) -> None:
    job, evaluation = _mug(tmp_path)
    assert evaluation.score(job, [None] * len(PLACES)) == Score(-1.0, -1.0)


def test_pictures_are_held_to_their_prompts_without_the_products_word_and_backdrop(tmp_path) -> None:
    """The word is cut where it stands alone: a noun may end with it."""
    config = {"model": {"source": "model"}, "training": {"backdrop": "plain white"}}
    context, scorer = SimpleNamespace(config=RunConfig.model_validate(config), resolution=64), Scorer()
    store = ObjectStore(str(tmp_path))
    store.write("photo.png", encode_png(np.zeros((64, 64, 3), np.uint8)))
    photo = Reference("id", "desk", "photo.png", "photo.png", "", 64, 64, "given", 1.0, 1.0)
    evaluation = evaluation_of(context, EvaluationConfig(), scorer, {"id": (photo,)}, store)
    job = TrainingJob("id", "desk", "a photo of a sks desks organizer, plain white", "", (), 1, 0)
    score = evaluation.score(job, [np.zeros((64, 64, 3), np.uint8)] * len(PLACES))
    assert (score.likeness, score.agreement) == (1.0, 1.0)
    assert scorer.read == [f"a photo of a desks organizer{place}" for place in PLACES]
