"""What a product in training is judged by."""

from types import SimpleNamespace

import numpy as np

from catalog_schemas.reference import Reference
from configs.schema import RunConfig
from configs.training import EvaluationConfig
from tasks.engine.jobs import TrainingJob
from tasks.imaging.decode import encode_png
from tasks.storage.objects import ObjectStore
from tasks.training.evaluation import PLACES, evaluation_of


class Scorer:
    """All pictures and texts are alike."""

    def __init__(self) -> None:
        self.read = list[str]()

    def images(self, pictures: list[np.ndarray]) -> np.ndarray:
        return np.ones((len(pictures), 1))

    def texts(self, texts: list[str]) -> np.ndarray:
        self.read += texts
        return np.ones((len(texts), 1))


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
