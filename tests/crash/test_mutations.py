"""The checks of this suite can fail: each promise, taken out at a seam, is missed by one of them."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.publish import publish
from tasks.publishing.publication import complete_publications
from tasks.storage.disk import Disk
from tests.crash.crashing import SCENARIOS, Uninterrupted, crash_states, lost, resume, uninterrupted
from tests.crash.machine import StoreMachine
from tests.crash.night import run_night, run_record
from tests.crash.soundness import read_tables, violations
from tests.crash.watched import ClockedStore, FadingDisk, Killed, Operation, WatchedStore, pass_on

FIRST = SCENARIOS["first night"]


class Forgetful(FadingDisk):
    """A disk that is never told to keep anything."""

    def flush(self, descriptor: int) -> None:
        pass


class NamesOnly(FadingDisk):
    """A disk that is told to keep names and not what the files hold."""

    def flush(self, descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            super().flush(descriptor)


class CommitsUnflushed(FadingDisk):
    """A disk that is not told of what another library wrote in place."""

    def sync(self, key: str) -> None:
        pass


class InPlace(Disk):
    """A disk whose files grow under their final name."""

    left = -1

    def put_in_place(self, temporary: Path, path: Path) -> None:
        data = temporary.read_bytes()
        temporary.unlink()
        path.write_bytes(data[: len(data) // 2])
        self.left -= 1
        if self.left == 0:
            raise Killed
        path.write_bytes(data)


@pytest.fixture(scope="module")
def whole(memory_module: Path) -> Uninterrupted:
    return uninterrupted(FIRST, WatchedStore(str(memory_module / "whole")))


def _faults(memory: Path, whole: Uninterrupted, mode: str, disk: type[FadingDisk]) -> Iterator[str]:
    """What the checks of `test_crash_points` say of some of the operations."""
    for operation, state in crash_states(FIRST, mode, memory, disk)[4::9]:
        store = WatchedStore(str(state))
        yield from lost(operation, store)
        yield from resume(FIRST, whole, store)


@pytest.mark.parametrize(
    ("mode", "disk"),
    [
        ("power cut: names", Forgetful),
        ("power cut: names", NamesOnly),
        ("power cut: names", CommitsUnflushed),
        ("power cut: flushed", Forgetful),
    ],
)
def test_without_a_flush_a_power_cut_is_noticed(
    memory: Path, whole: Uninterrupted, mode: str, disk: type[FadingDisk]
) -> None:
    assert any(_faults(memory, whole, mode, disk))


def test_with_the_flushes_the_same_power_cuts_are_not(memory: Path, whole: Uninterrupted) -> None:
    assert list(_faults(memory, whole, "power cut: names", FadingDisk)) == []


def test_without_the_atomic_replace_a_kill_is_noticed(memory: Path, whole: Uninterrupted) -> None:
    store, disk = WatchedStore(str(memory / "store")), InPlace(memory / "store")
    disk.left, store._driver = 5, disk  # the fifth file is a stage's record
    with pytest.raises(Killed):
        run_night(store, FIRST.tonight, "crashed")
    assert resume(FIRST, whole, WatchedStore(store.url))


class Renaming(ClockedStore):
    """A store in which a publication that is read again has lost the name of its run, and so its transaction id."""

    reads = 0

    def read(self, key: str) -> bytes:
        data = super().read(key)
        if not key.startswith("cache/publishing/"):
            return data
        self.reads += 1
        publication = json.loads(data)
        publication["run"]["run_id"] += f"-{self.reads}"
        return json.dumps(publication).encode()


class WithoutTransactions(StoreMachine):
    def open_store(self, url: str) -> ClockedStore:
        return Renaming(url, self.clock)


def _publish_twice(machine: StoreMachine) -> None:
    """A run is killed once its images are committed, a newer one takes their place, and it is completed then."""
    first, second = machine.begin([("mug", 1)]), machine.begin([("mug", 2)])

    def kill_after_images(operation: Operation, call: Callable[[], Any]) -> Any:
        if operation.keys[0].startswith("tables/skus"):
            raise Killed
        return call()

    machine.store.hook = kill_after_images
    with pytest.raises(Killed):
        publish.fn(first.context, first.harvest, run_record(first.context, first.harvest, machine.clock.now()))
    machine.store.hook = pass_on
    machine.show(first)
    machine.publish(second)
    complete_publications(machine.store, machine.clock.now())


def test_without_the_transaction_id_a_publication_made_twice_is_noticed() -> None:
    for kind, noticed in ((StoreMachine, False), (WithoutTransactions, True)):
        machine = kind()
        _publish_twice(machine)
        runs = [row["run_id"] for row in read_tables(machine.store)["runs"]]
        if noticed:
            with pytest.raises(AssertionError):
                machine.the_store_is_sound_and_shows_what_the_model_says()
        else:
            machine.the_store_is_sound_and_shows_what_the_model_says()
            assert sorted(runs) == ["run-1", "run-2"]
        machine.teardown()


class WithoutGrace(StoreMachine):
    grace = timedelta(0)


def test_without_the_grace_period_a_collection_during_a_run_is_noticed() -> None:
    for kind, noticed in ((StoreMachine, False), (WithoutGrace, True)):
        machine = kind()
        run = machine.begin([("mug", 1)])
        machine.collect_garbage_later(days=0)
        machine.publish(run)
        assert bool(violations(machine.store)) == noticed
        machine.teardown()
