"""While a store is away, a run waits: not for ever, and not when it was stopped."""

import threading
import time

import pytest

from catalog_schemas.errors import StoreDenied, StoreUnreachable
from tasks.runtime import outages
from tasks.runtime.outages import outlived
from tasks.runtime.progress import Stopped, stoppable
from tasks.runtime.threads import each
from tasks.storage.faults import attempt

SOON = (0.001,)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "EVERY_SECONDS", 0.01)


class Away:
    """A store that does not answer for that many calls."""

    def __init__(self, calls: float, error: Exception | None = None) -> None:
        self.left, self.asked = calls, 0
        self.error = error or ConnectionResetError()

    def __call__(self) -> str:
        self.asked += 1
        self.left -= 1
        if self.left >= 0:
            raise self.error
        return "answer"


def test_a_store_that_comes_back_is_as_if_it_had_not_been_away(caplog: pytest.LogCaptureFixture) -> None:
    with outlived():
        assert attempt(Away(9), "s3://b/k", SOON) == "answer"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "Waiting for up to 15 minutes: s3://b/k: no usable answer (ConnectionResetError)")
    ]
    with pytest.raises(StoreUnreachable):
        attempt(Away(9), "s3://b/k", SOON)


def test_threads_that_a_stage_starts_wait_as_it_does() -> None:
    stores = [Away(9), Away(9)]
    with outlived():
        assert each(lambda store: attempt(store, "s3://b/k", SOON), stores) == ["answer", "answer"]


def test_one_attempt_stays_one_and_what_waiting_cannot_mend_is_said_at_once() -> None:
    with outlived():
        with pytest.raises(StoreUnreachable):
            attempt(once := Away(9), "s3://b/k", ())
        with pytest.raises(StoreDenied):
            attempt(denied := Away(9, PermissionError()), "s3://b/k", SOON)
    assert (once.asked, denied.asked) == (1, 1)


def test_who_has_given_up_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Away(1e9), Away(1e9)

    def until_patience_has_been_had() -> str:
        monkeypatch.setattr(outages, "PATIENCE_SECONDS", -1.0 if first.asked == 5 else 900.0)
        return first()

    with outlived():
        with pytest.raises(StoreUnreachable):
            attempt(until_patience_has_been_had, "s3://b/k", SOON)
        monkeypatch.setattr(outages, "PATIENCE_SECONDS", 900.0)
        with pytest.raises(StoreUnreachable):
            attempt(second, "s3://b/k", SOON)
    assert (first.asked, second.asked) == (6, 2)


def test_a_run_that_is_stopped_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outages, "EVERY_SECONDS", 60.0)
    began = time.monotonic()
    with stoppable() as stop, outlived():
        threading.Timer(0.05, stop).start()
        with pytest.raises(Stopped):
            attempt(Away(1e9), "s3://b/k", SOON)
    assert time.monotonic() - began < 10
