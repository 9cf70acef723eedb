"""Each operation of a night that changes the store, crashed in each way that there is; the next night completes it.

The night is that of `night.py`: two or three SKUs, with training and drawing replaced by their records. A crash after
an operation and one before the next leave the same store and count once. `make soak` takes all points of S3, too.
"""

import uuid
from pathlib import Path

import pytest

from catalog_schemas.errors import StoreUnreachable
from tasks.storage.objects import ObjectStore
from tests.crash.crashing import (
    LEFT,
    LIVED,
    OTHER_RUN,
    OTHERS,
    SCENARIOS,
    Uninterrupted,
    copy_store,
    crash_hook,
    crash_states,
    ended,
    lost,
    prepare,
    resume,
    uninterrupted,
)
from tests.crash.night import run_night
from tests.crash.soundness import violations
from tests.crash.watched import Killed, WatchedStore

POINTS_MINIMUM = 500
S3_MODES = ("before", "after", "torn", "reply lost, request repeated", "reply lost, stage repeated")
OUTSIDE_STAGES = ("runs/whole/config", "cache/stages")  # what is lost there ends a night, and the next completes it
S3_POINTS = 3  # of each scenario, spread evenly: each takes seconds


@pytest.fixture(scope="module", params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def whole(scenario: str, memory_module: Path) -> Uninterrupted:
    return uninterrupted(SCENARIOS[scenario], WatchedStore(str(memory_module / uuid.uuid4().hex)))


@pytest.mark.parametrize("mode", LEFT)
def test_what_a_crash_leaves_is_sound_and_the_next_night_completes_it(
    scenario: str, whole: Uninterrupted, mode: str, memory: Path
) -> None:
    faults = {}
    states = crash_states(SCENARIOS[scenario], mode, memory)
    for number, (operation, state) in enumerate(states):
        store = WatchedStore(str(state))
        found = [] if mode == "torn" else lost(operation, store)
        if found := found + resume(SCENARIOS[scenario], whole, store):
            faults[number, operation.kind, operation.keys[0]] = found
    assert not faults
    assert len(states) == len(whole.operations)


@pytest.mark.parametrize("mode", LIVED)
def test_what_a_night_lives_through_changes_nothing(
    scenario: str, whole: Uninterrupted, mode: str, memory: Path
) -> None:
    faults = {}
    prepare(SCENARIOS[scenario], WatchedStore(str(memory / "before")))
    for number, operation in enumerate(whole.operations):
        store = _copy(memory, number)
        store.hook = crash_hook(mode, number, store)
        try:
            run_night(store, SCENARIOS[scenario].tonight, "lived")
        except StoreUnreachable:
            assert operation.keys[0].startswith(OUTSIDE_STAGES), operation.keys
            run_night(store, SCENARIOS[scenario].tonight, "next")
        if found := ended(whole, store):
            faults[number, operation.kind, operation.keys[0]] = found
    assert not faults


def test_another_run_that_publishes_at_any_moment_of_the_publication_leaves_a_sound_store(
    scenario: str, whole: Uninterrupted, memory: Path
) -> None:
    faults = {}
    prepare(SCENARIOS[scenario], WatchedStore(str(memory / "before")))
    begins = next(number for number, one in enumerate(whole.operations) if "publishing" in one.keys[0])
    for number, operation in enumerate(whole.operations[begins:], begins):
        store = _copy(memory, number)
        store.hook = crash_hook(OTHERS, number, store)
        run_night(store, SCENARIOS[scenario].tonight, "lived")
        if found := violations(store):
            faults[number, operation.kind, operation.keys[0]] = found
    assert not faults


def _copy(memory: Path, number: int) -> WatchedStore:
    if (memory / "before").exists():
        copy_store(memory / "before", memory / f"{number}")
    return WatchedStore(str(memory / f"{number}"))


def test_there_are_enough_points(memory: Path) -> None:
    counts = {
        name: len(uninterrupted(scenario, WatchedStore(str(memory / name.replace(" ", "-")))).operations)
        for name, scenario in SCENARIOS.items()
    }
    assert sum(counts.values()) * len(LEFT + LIVED) >= POINTS_MINIMUM, counts


def _crash_on_s3(url: str, name: str, mode: str, number: int, whole: Uninterrupted) -> list[str]:
    store = WatchedStore(url)
    prepare(SCENARIOS[name], store)
    store.probe_conditional_writes()
    store.hook = crash_hook(mode, number, store)
    try:
        run_night(store, SCENARIOS[name].tonight, "crashed")
    except Killed:
        return resume(SCENARIOS[name], whole, WatchedStore(url))
    except StoreUnreachable:
        assert whole.operations[number].keys[0].startswith(OUTSIDE_STAGES), number
        run_night(WatchedStore(url), SCENARIOS[name].tonight, "next")
        return ended(whole, WatchedStore(url))
    assert mode.startswith("reply lost"), f"operation {number} never came"
    return ended(whole, store)


@pytest.mark.parametrize("place", range(S3_POINTS))
def test_a_crash_on_s3_is_completed_too(s3, scenario: str, whole: Uninterrupted, place: int) -> None:
    points = [(mode, number) for number in range(len(whole.operations)) for mode in S3_MODES]
    # 7 and the number of modes are coprime: the sample takes every mode in turn
    mode, number = points[(place * len(points) // S3_POINTS + place) % len(points)]
    url = s3.make_bucket(f"crash-{uuid.uuid4().hex[:12]}") + "/shop"
    assert not _crash_on_s3(url, scenario, mode, number, whole), (mode, number, whole.operations[number])
    assert ObjectStore(url).list("images")


@pytest.mark.soak
def test_every_crash_on_s3_is_completed(s3, scenario: str, whole: Uninterrupted) -> None:
    faults = {}
    for number, operation in enumerate(whole.operations):
        for mode in S3_MODES:
            url = s3.make_bucket(f"crash-{uuid.uuid4().hex[:12]}") + "/shop"
            if found := _crash_on_s3(url, scenario, mode, number, whole):
                faults[mode, number, operation.keys[0]] = found
    assert not faults


def test_the_other_run_touches_what_the_night_touches() -> None:
    assert OTHER_RUN.keys() & SCENARIOS["first night"].tonight.keys()
    assert OTHER_RUN.keys() & SCENARIOS["changed night"].tonight.keys()
