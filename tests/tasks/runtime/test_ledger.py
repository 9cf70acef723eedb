"""A finished stage is not done again, and one that failed leaves no record."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.draft import Draft
from catalog_schemas.rejection import Reason, Rejection
from tasks.runtime.ledger import StageResult, keys_in, once, recorded
from tasks.storage.objects import ObjectStore

DRAFT = Draft("v", "cache/drafts/v.png", "", 0.5)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(str(tmp_path / "store"))
    store.write(DRAFT.image_key, b"pixels")
    return store


def _never() -> StageResult[Draft]:
    raise AssertionError("it was done again")


def test_what_is_recorded_is_returned_and_not_made_again(store: ObjectStore) -> None:
    made = once(store, "draw", Draft, ["a", "b"], lambda: StageResult((DRAFT,)))
    assert once(store, "draw", Draft, ["a", "b"], _never) == made


def test_a_record_counts_as_none_where_it_or_something_that_it_speaks_of_is_lost(store: ObjectStore) -> None:
    once(store, "draw", Draft, ["a"], lambda: StageResult((DRAFT,)))
    store.delete([DRAFT.image_key])
    assert recorded(store, "draw", Draft) == {}
    assert once(store, "draw", Draft, ["a"], lambda: StageResult(())).records == ()
    [info] = store.list("cache/stages/draw")
    written = store.read(info.key)
    for damaged in (written[:-3], written.replace(b"cache/stages", b"cache/st*ges")):
        store.write(info.key, damaged)
        with pytest.raises(AssertionError, match="done again"):
            once(store, "draw", Draft, ["a"], _never)


def test_a_record_speaks_of_images_adapters_and_what_is_cached() -> None:
    record = [{"image": "images/a", "files": ["adapters/b", {"deeper": "cache/c"}]}, "runs/d", "my images/e", 1, None]
    assert keys_in(record) == {"images/a", "adapters/b", "cache/c"}


def test_other_work_another_order_and_another_stage_are_other_records(store: ObjectStore) -> None:
    once(store, "draw", Draft, ["a", "b"], lambda: StageResult((DRAFT,)))
    for stage, work in (("draw", ["b", "a"]), ("draw", ["a"]), ("draw", ["ab"]), ("check", ["a", "b"])):
        with pytest.raises(AssertionError, match="done again"):
            once(store, stage, Draft, work, _never)


def test_work_that_failed_is_not_recorded(store: ObjectStore) -> None:
    with pytest.raises(AssertionError):
        once(store, "draw", Draft, ["a"], _never)
    assert once(store, "draw", Draft, ["a"], lambda: StageResult((DRAFT,))).records == (DRAFT,)


def test_a_verdict_that_may_be_gone_by_the_next_run_is_not_recorded(store: ObjectStore) -> None:
    def refused(reason: Reason) -> StageResult[Draft]:
        return StageResult((), (Rejection("sku", "draw", reason, "uri", "detail", "run", datetime.now(UTC)),))

    once(store, "draw", Draft, ["a"], lambda: refused(Reason.REFERENCE_UNREACHABLE))
    assert once(store, "draw", Draft, ["a"], lambda: refused(Reason.REFERENCE_BLANK)).rejections
    assert once(store, "draw", Draft, ["a"], _never).rejections[0].reason == Reason.REFERENCE_BLANK


def test_a_result_names_its_record_which_is_gone_when_that_is_deleted(store: ObjectStore) -> None:
    made = {work: once(store, "draw", Draft, [work], lambda: StageResult((DRAFT,))) for work in "ab"}
    assert {one.key for one in made.values()} == recorded(store, "draw", Draft).keys()
    store.delete([made["a"].key])
    assert once(store, "draw", Draft, ["b"], _never) == made["b"]
    with pytest.raises(AssertionError, match="done again"):
        once(store, "draw", Draft, ["a"], _never)
