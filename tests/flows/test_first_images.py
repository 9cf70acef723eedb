"""What needs no adapter is there to be looked at while adapters are trained."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import pytest
from prefect.settings import PREFECT_LOGGING_EXTRA_LOGGERS, PREFECT_LOGGING_LEVEL, temporary_settings

from flows.refresh_catalog import refresh_catalog
from tasks.training import skus as training
from tests.flows.shop import Shop, artifacts_of, assert_sound

RELOADS = 'data-again="'


def _gallery(shop: Shop) -> str:
    """The youngest run's."""
    return shop.objects.read(max(key for key in shop.keys("runs") if key.endswith("index.html"))).decode()


def _shown(page: str) -> list[str]:
    return re.findall(r'src="\.\./\.\./\.\./(images/[^"?]+)\?small"', page)


@contextmanager
def _seen_in_training(shop: Shop) -> Iterator[list[str]]:
    """The gallery as it is when a cohort begins, for each cohort."""
    pages, train = list[str](), training.train_skus

    def looked(*arguments, **named):
        pages.append(_gallery(shop))
        return train(*arguments, **named)

    with patch.object(training, "train_skus", looked):
        yield pages


@pytest.fixture
def two(shop: Shop) -> Shop:
    shop.add("mug-1", 0)
    shop.add("vase-2", 1)
    shop.changes = {"compute": {"cohort_size": 4}}
    return shop


@pytest.fixture
def served() -> Iterator[None]:
    """As `packshot serve` sets it, so that packshot's own lines are on the run's page."""
    with temporary_settings(updates={PREFECT_LOGGING_EXTRA_LOGGERS: "flows,tasks", PREFECT_LOGGING_LEVEL: "INFO"}):
        yield
    for name in ("flows", "tasks"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.usefixtures("served")
def test_the_gallery_has_what_needs_no_adapter_before_training(two: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with _seen_in_training(two) as pages:
        state = refresh_catalog(two.parameters(), return_state=True)
    (page,) = pages
    assert RELOADS in page
    assert "4 more images come when adapters are trained" in page
    shown = _shown(page)
    assert len(shown) == 8
    assert not any("regenerate" in key for key in shown)
    live = {row["key"]: row["technique"] for row in two.live()}
    assert len(live) == 12
    assert set(shown) == {key for key, technique in live.items() if technique != "regenerate"}, (
        "they are what is published"
    )
    last = _gallery(two)
    assert RELOADS not in last
    assert set(_shown(last)) == set(live)
    assert any("First images, while adapters are trained: " in record.getMessage() for record in caplog.records)
    artifacts = artifacts_of(state.state_details.flow_run_id)
    assert any("8 images so far, 4 to come" in str(one.description) for one in artifacts)
    assert_sound(two)


def test_an_image_that_takes_the_place_of_another_is_shown_in_its_place(open_shop: Shop) -> None:
    changes = {"generation": {"seed": 0, "steps": 4}, "training": {"rank": 2}, "compute": {"cohort_size": 4}}
    open_shop.changes |= changes
    with _seen_in_training(open_shop) as pages:
        open_shop.run()
    (page,) = pages
    shown = _shown(page)
    assert len(shown) == len(set(shown)) == 18, "twelve that are new, and six that wait for their adapter"
    old = {row["key"] for row in open_shop.table("images") if row["retired_at"] is not None}
    assert not any("composite" in key for key in old & set(shown)), "a packshot has the pixels that it had"


def test_without_training_there_is_nothing_to_show_first(open_shop: Shop) -> None:
    open_shop.changes |= {"variants": {"scenes": ["beach-sand"], "limit_per_sku": 2}}
    with patch("flows.pipeline.show_first_images", side_effect=AssertionError):
        assert open_shop.run().record.images_published > 0


def test_a_killed_training_leaves_them_finished(two: Shop) -> None:
    with patch.object(training, "train_skus", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        two.run()
    assert not two.live()
    made = two.keys("images")
    assert len(made) == 8
    times = {key: info.modified for key in made for info in two.objects.list(key)}
    two.run()
    assert len(two.live()) == 12
    assert {key: info.modified for key in made for info in two.objects.list(key)} == times, "nothing is made again"
