"""The scorer, on a tiny CLIP model with seeded weights."""

from pathlib import Path

import numpy as np
import pytest

from catalog_schemas.errors import ModelError
from tasks.engine.similarity import Scorer, load_scorer
from tests.models.tiny import build_tiny_clip


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load_scorer(build_tiny_clip(tmp_path_factory.mktemp("clip")))


def picture(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_features_have_unit_length_and_an_image_is_most_like_itself(scorer: Scorer) -> None:
    features = scorer.images([picture(0), picture(1), picture(0)])
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    likeness = features @ features.T
    assert likeness[0, 2] == pytest.approx(1, abs=1e-5)
    assert likeness[0, 1] < likeness[0, 2]


def test_an_image_is_scored_alike_alone_and_among_others_of_any_size(scorer: Scorer) -> None:
    together = scorer.images([picture(0), picture(1, 20, 20)])
    assert np.allclose(scorer.images([picture(1, 20, 20)])[0], together[1], atol=1e-5)


def test_texts_differ_and_long_ones_are_cut(scorer: Scorer) -> None:
    mug, vase, endless = scorer.texts(["a photo of a mug", "a photo of a vase", "mug " * 500])
    assert not np.allclose(mug, vase, atol=1e-4)
    assert np.linalg.norm(endless) == pytest.approx(1, abs=1e-5)


def test_a_folder_without_a_clip_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_scorer(tmp_path)
