"""What the checks refuse is tried with other seeds, in its place, and no more often than the configuration says."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.plan import PlannedVariant
from catalog_schemas.review import Verdict
from catalog_schemas.variant import VariantSpec
from tasks.checks import Subject, contrast
from tasks.engine.rendering import RenderRequest
from tests.flows.shop import Shop, assert_adds_up, assert_sound
from tests.flows.test_reviews import say

MATRIX = {"scenes": ["wooden-table"], "colours": ["original"], "attempts": 3}
UNTRAINED = MATRIX | {"techniques": ["composite", "packshot"]}
Good = Callable[[VariantSpec], bool]


@pytest.fixture
def picky(shop: Shop) -> Shop:
    """One product, in one picture of each technique, each of which may be tried three times."""
    shop.add("mug", 0)
    shop.changes = {"variants": MATRIX, "checks": [{"name": "contrast", "minimum": 50}]}
    return shop


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Good], None]:
    """Says which variants pass the check."""

    def passing(good: Good) -> None:
        def measure(subject: Subject) -> float:
            return 100.0 if good(subject.spec) else 1.0

        monkeypatch.setattr(contrast, "measure", measure)

    return passing


def seeds(shop: Shop) -> dict[str, int]:
    """The seed of each technique's live image, each of which stands in the place of its first attempt."""
    rows = shop.live()
    assert [row["slot"].rpartition("_")[2] for row in rows] == ["0"] * len(rows)
    return {row["technique"]: row["seed"] for row in rows}


def planned(shop: Shop) -> list[tuple[str, int, int]]:
    variants: list[PlannedVariant] = [one for job in shop.plan().jobs for one in job.variants]
    return sorted((one.spec.technique, one.spec.seed, one.attempts) for one in variants)


def test_another_seed_takes_the_place_of_what_was_refused_and_stays_there(
    picky: Shop, passing: Callable[[Good], None], drawn: list[RenderRequest]
) -> None:
    passing(lambda spec: spec.seed >= {"regenerate": 2000, "composite": 1000, "packshot": 0}[spec.technique])
    done = picky.run()
    assert (done.record.images_planned, done.record.images_published, done.record.images_rejected) == (3, 3, 0)
    assert done.rejections == (), "nothing is missing"
    assert seeds(picky) == {"regenerate": 2000, "composite": 1000, "packshot": 0}
    assert picky.reasons() == [("mug", "check_failed")] * 3, "but what was refused is known"
    assert sorted(one.seed for one in drawn) == [0, 0, 1000, 1000, 2000], "a scene and a product, each seed once"
    assert picky.plan().jobs == ()

    drawn.clear()
    picky.rows[0]["title"] = "The same under another title"
    assert planned(picky) == [("composite", 1000, 2), ("packshot", 0, 3), ("regenerate", 2000, 1)]
    assert picky.run().record.images_published == 3
    assert (drawn, seeds(picky)) == ([], {"regenerate": 2000, "composite": 1000, "packshot": 0})
    assert_sound(picky)


def test_what_no_seed_mends_is_refused_once_and_the_last_attempt_is_shown(
    picky: Shop, passing: Callable[[Good], None], drawn: list[RenderRequest]
) -> None:
    passing(lambda spec: spec.technique == "composite")
    done = picky.run()
    assert_adds_up(asdict(done.record))
    assert (done.record.images_published, done.record.images_rejected) == (1, 2)
    details = sorted(one.detail for one in done.rejections)
    assert "_packshot_0: contrast is 1" in details[0], "a cut-out is the same with any seed"
    assert "_regenerate_0, tried with seed 2000: contrast is 1" in details[1]
    page = Path(picky.store, f"runs/{done.record.run_id}/report/index.html").read_text()
    assert page.count("contrast is 1") == page.count("tried with seed 2000: contrast is 1") + page.count(
        "packshot_0: c"
    )
    assert not picky.plan().jobs

    drawn.clear()
    picky.changes["variants"] = MATRIX | {"attempts": 4}
    assert planned(picky) == [("regenerate", 3000, 1)]
    passing(lambda spec: True)
    assert picky.run().record.images_published == 1
    assert [one.seed for one in drawn] == [3000]
    assert seeds(picky) == {"regenerate": 3000, "composite": 0}


def test_a_later_attempt_replaces_what_stood_in_its_place(picky: Shop, passing: Callable[[Good], None]) -> None:
    picky.changes["variants"] = UNTRAINED
    passing(lambda spec: True)
    picky.run()
    before = {row["image_id"] for row in picky.live()}
    for column in ("references", "masks"):
        picky.rows[0][column].pop()
    passing(lambda spec: spec.seed == 1000 or spec.technique == "packshot")
    assert picky.run().record.images_published == 2
    assert seeds(picky) == {"composite": 1000, "packshot": 0}
    assert before.isdisjoint(row["image_id"] for row in picky.live())
    assert_sound(picky)


def test_a_later_attempt_is_compared_with_what_has_passed_before_it(
    picky: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: dict[int, int] = {}

    def measure(subject: Subject) -> float:
        beside[subject.spec.seed] = len(subject.siblings)
        return 1.0 if subject.spec.seed == 1 else 100.0

    monkeypatch.setattr(contrast, "measure", measure)
    picky.changes["variants"] = MATRIX | {"techniques": ["regenerate"], "images": 2}
    picky.run()
    assert beside == {0: 0, 1: 1, 1001: 1}


def test_a_run_that_ends_between_two_attempts_goes_on_there(
    picky: Shop, passing: Callable[[Good], None], drawn: list[RenderRequest]
) -> None:
    class Killed(BaseException): ...

    def killed(spec: VariantSpec) -> bool:
        if spec.seed:
            raise Killed
        return spec.technique == "packshot"

    passing(killed)
    with pytest.raises(Killed):
        picky.run()
    drawn.clear()
    passing(lambda spec: spec.seed == 1000 or spec.technique == "packshot")
    picky.run()
    assert [one.seed for one in drawn] == [0, 1000], "the product's; its scenes are there"
    assert seeds(picky) == {"regenerate": 1000, "composite": 1000, "packshot": 0}


def test_what_a_person_rejects_of_them_is_tried_anew_in_a_place_of_its_own(
    picky: Shop, passing: Callable[[Good], None]
) -> None:
    picky.changes["variants"] = UNTRAINED
    passing(lambda spec: spec.seed in (1000, 3000) or spec.technique == "packshot")
    picky.run()
    bad: dict[str, Any] = next(row for row in picky.live() if row["technique"] == "composite")
    say(picky, rejected=[bad])
    assert planned(picky) == [("composite", 2000, 3)]
    assert picky.run().record.images_published == 1
    again = next(row for row in picky.live() if row["technique"] == "composite")
    assert (again["seed"], again["slot"].rpartition("_")[2]) == (3000, "2000")
    assert picky.plan().jobs == ()
    say(picky, approved=[bad])
    picky.run()
    assert seeds(picky) == {"composite": 1000, "packshot": 0}
    assert Verdict.APPROVED in {row["verdict"] for row in picky.table("reviews")}
    assert_sound(picky)
