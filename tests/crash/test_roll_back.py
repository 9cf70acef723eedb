"""Rollbacks on stores where nights were killed, and where others are at work."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from catalog_schemas.errors import StoreError
from tasks.storage.tables import Tables
from tasks.upkeep.roll_back import Rollback, roll_back, versions
from tests.crash.crashing import OTHERS, crash_hook
from tests.crash.operated import CATALOG, CHANGED, LATER, gc, killed_at, live, night
from tests.crash.soundness import content, read_tables, violations
from tests.crash.watched import Clock, ClockedStore, Operation


def test_a_rollback_brings_an_earlier_version_back_and_can_itself_be_rolled_back(
    store: ClockedStore, clock: Clock
) -> None:
    night(store, CATALOG, "one")
    first, version = live(store), Tables(store).version("images")
    night(store, CHANGED, "two")
    second, newer = live(store), Tables(store).version("images")
    assert roll_back(store, version, "back", clock.now()) == Rollback(2, 2)
    assert live(store) == first
    assert roll_back(store, newer, "forth", clock.now()) == Rollback(2, 2)
    assert live(store) == second
    assert roll_back(store, newer, "stay", clock.now()) == Rollback(0, 0)
    assert roll_back(store, Tables(store).version("images"), "last", clock.now()) == Rollback(0, 0)
    assert violations(store) == []
    assert gc(store, dry_run=True).keys == (), "it has ended"


def test_a_rollback_whose_bytes_are_gone_is_refused_and_changes_nothing(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    version = Tables(store).version("images")
    night(store, CHANGED, "two")
    lost = next(row["key"] for row in read_tables(store)["images"] if row["retired_at"])
    store.delete([lost])
    before = content(read_tables(store))
    with pytest.raises(StoreError, match=rf"the bytes of 1 images of version {version} are deleted, the first: {lost}"):
        roll_back(store, version, "back", clock.now())
    assert content(read_tables(store)) == before
    assert gc(store, dry_run=True).keys == (), "it has ended"


def test_the_versions_that_a_rollback_can_bring_back_are_listed(store: ClockedStore, clock: Clock) -> None:
    assert list(versions(store)) == []
    night(store, CATALOG, "one")
    first = Tables(store).version("images")
    night(store, CHANGED, "two")
    roll_back(store, first, "back", clock.now())
    listed = list(versions(store))
    assert [(one.run_id, one.images) for one in listed] == [("back", 4), ("two", 4), ("one", 4)]
    assert [one.version for one in listed] == [first + 2, first + 1, first]
    assert listed[0].at >= listed[1].at >= listed[2].at
    clock.advance(LATER)
    gc(store)
    assert [one.run_id for one in versions(store)] == ["back"], "of the others garbage collection has deleted files"


def test_versions_whose_commits_another_program_has_cleared_away_are_not_listed(store: ClockedStore) -> None:
    night(store, CATALOG, "one")
    night(store, CHANGED, "two")
    table = DeltaTable(Tables(store).uri("images"))
    table.create_checkpoint()
    for log in Path(table.table_uri.removeprefix("file://")).glob("_delta_log/*.json"):
        if int(log.stem) < table.version():
            log.unlink()
    assert [one.run_id for one in versions(store)] == ["two"]


def test_a_rollback_that_would_leave_nothing_is_refused(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    before = content(read_tables(store))
    with pytest.raises(StoreError, match=r"of version 0 no image would be live, and the 4 that are would be"):
        roll_back(store, 0, "back", clock.now())
    assert content(read_tables(store)) == before
    assert gc(store, dry_run=True).keys == (), "it has ended"


def test_a_rollback_past_what_gc_keeps_says_so(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    version = Tables(store).version("images")
    night(store, CHANGED, "two")
    clock.advance(LATER)
    gc(store)
    with pytest.raises(StoreError, match=rf"version {version} is older than what garbage collection keeps"):
        roll_back(store, version, "back", clock.now())
    with pytest.raises(StoreError, match=r"has the versions 0 to \d+; there is no version 99"):
        roll_back(store, 99, "back", clock.now())


def test_a_rollback_of_an_empty_store_says_so(store: ClockedStore, clock: Clock) -> None:
    with pytest.raises(StoreError, match=r"tables/images: does not exist yet; there is no version 0"):
        roll_back(store, 0, "back", clock.now())


def test_a_rollback_publishes_first_what_a_killed_run_had_begun_to(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    first, version = live(store), Tables(store).version("images")
    killed_at(store, "tables/images", catalog=CHANGED)
    roll_back(store, version, "back", clock.now())
    assert live(store) == first
    night(store, CHANGED, "two")
    assert live(store) == first, "the next night leaves it so"
    assert violations(store) == []


def test_a_run_that_publishes_during_a_rollback_leaves_a_sound_store(memory: Path) -> None:
    for number in range(100):
        store = ClockedStore(str(memory / str(number)), Clock())
        night(store, CATALOG, "one")
        version = Tables(store).version("images")
        night(store, CHANGED, "two")
        reached: list[str] = []
        hook = crash_hook(OTHERS, number, store)

        def watch(operation: Operation, call: Callable[[], Any], hook: Any = hook, reached: list[str] = reached) -> Any:
            reached += operation.keys
            return hook(operation, call)

        store.hook = watch
        roll_back(store, version, "back", store.clock.now())
        assert violations(store) == []
        if len(reached) <= number:
            break
    assert number >= 3
