"""Each request of a night on S3 goes wrong in each way that there is; the night ends right or says what is wrong.

The next night completes it either way. A fault hits one request, or that and all that follow: an endpoint that is gone
for the rest of the night. The store waits a second where it would wait twenty, so that a stall can be waited for. A few
requests are hit in the ordinary tests, and all of them in `make soak`.
"""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from catalog_schemas.errors import StoreError
from tasks.storage.s3 import S3Bucket, filesystem
from tests.crash.crashing import SCENARIOS, Scenario, Uninterrupted, ended, prepare, uninterrupted
from tests.crash.night import run_night
from tests.crash.watched import WatchedStore
from tests.servers.faulty import CUT, ERROR, LOSE_REPLY, PASS, RESET, STALL, THROTTLE, faulty_proxy
from tests.servers.fixtures import use
from tests.servers.moto import SECRET, S3Server

FAULTS = (ERROR, THROTTLE, RESET, STALL, CUT, LOSE_REPLY)
METHOD = {CUT: "GET", LOSE_REPLY: "PUT"}  # of the requests that such a fault matters to
ONE_PRODUCT = Scenario((), {"mug": 1})


class HastyBucket(S3Bucket):
    """A bucket that waits a second for an answer."""

    @override
    def connect(self) -> Any:
        return filesystem(read_seconds=1)

    @override
    def delta_options(self) -> dict[str, str]:
        return super().delta_options() | {"timeout": "1s", "retry_timeout": "3s"}


class HastyStore(WatchedStore):
    """A store that soon gives up."""

    _pauses = (0.01, 0.02)  # type: ignore[assignment]

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._driver = HastyBucket("s3", url.removeprefix("s3://"))


@dataclass
class Line:
    """The line to the server: which requests of the night meet which fault."""

    endpoint: str = ""
    fault: str = PASS
    hit: range = range(0)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, method: str, path: str) -> str:
        with self.lock:
            self.asked.append(f"{method} {path}")
            return self.fault if len(self.asked) - 1 in self.hit else PASS

    def break_at(self, number: int, fault: str, times: int) -> None:
        """Counts from here on, and fails these requests."""
        self.asked.clear()
        self.fault, self.hit = fault, range(number, number + times)

    def mend(self) -> None:
        """Everything passes."""
        self.hit = range(0)


@pytest.fixture
def line(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line()
    with faulty_proxy(s3.endpoint, line.decide) as line.endpoint:
        use(s3.at(line.endpoint), monkeypatch)
        yield line


@pytest.fixture(params=["one product"])
def shop(request: pytest.FixtureRequest, s3: S3Server, line: Line, memory: Path) -> "Shop":
    scenario = SCENARIOS.get(request.param, ONE_PRODUCT)
    whole = uninterrupted(scenario, WatchedStore(str(memory / "whole")))
    return Shop(s3.make_bucket(f"line-{uuid.uuid4().hex[:12]}"), line, scenario, whole)


every_scenario = pytest.mark.parametrize("shop", SCENARIOS, indirect=True)


@dataclass
class Shop:
    """Stores of one bucket, each with the nights before in it."""

    bucket: str
    line: Line
    scenario: Scenario
    whole: Uninterrupted

    def begin(self) -> HastyStore:
        """A store before the night."""
        self.line.mend()
        store = HastyStore(f"{self.bucket}/{uuid.uuid4().hex[:12]}")
        prepare(self.scenario, store)
        store.probe_conditional_writes()
        return store

    def requests(self) -> list[str]:
        """What a night asks for where nothing goes wrong."""
        store = self.begin()
        self.line.asked.clear()
        run_night(store, self.scenario.tonight, "counted")
        return list(self.line.asked)

    def disturbed(self, number: int, fault: str, times: int = 1) -> tuple[str, list[str]]:
        """A night with a fault at a request, and the next; returns what the first said, and all that is wrong."""
        store, said = self.begin(), ""
        self.line.break_at(number, fault, times)
        try:
            run_night(store, self.scenario.tonight, "disturbed")
        except StoreError as error:
            said = str(error)
        hit = len(self.line.asked) > number
        self.line.mend()
        wrong = [] if hit else ["the request never came"]
        if not said:
            wrong += ended(self.whole, HastyStore(store.url))
        elif "\n" in said or not said.startswith("s3://") or SECRET in said:
            wrong.append(f"said: {said}")
        run_night(HastyStore(store.url), self.scenario.tonight, "next")
        return said, wrong + ended(self.whole, HastyStore(store.url))


def _sample(requests: list[str]) -> list[tuple[str, int]]:
    """Each fault with the number of a request, from the first to the last of a night."""
    places = [(2 * place + 1) * len(requests) // (2 * len(FAULTS)) for place in range(len(FAULTS))]
    return [(fault, _nearest(requests, METHOD.get(fault, ""), at)) for fault, at in zip(FAULTS, places, strict=True)]


def _nearest(requests: list[str], method: str, place: int) -> int:
    fitting = [number for number, request in enumerate(requests) if request.startswith(method)]
    return min(fitting, key=lambda number: abs(number - place))


def test_a_fault_on_the_way_to_s3_is_ridden_out_or_told_and_the_next_night_completes_it(shop: Shop) -> None:
    requests, wrong = shop.requests(), {}
    assert len(requests) > 50
    for fault, number in _sample(requests):
        _, found = shop.disturbed(number, fault)
        if found:
            wrong[fault, number, requests[number]] = found
    assert not wrong
    said, found = shop.disturbed(len(requests) // 2, ERROR, len(requests))
    assert "no usable answer" in said
    assert not found


@pytest.mark.soak
@every_scenario
@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_may_fail_once(shop: Shop, fault: str) -> None:
    requests, wrong = shop.requests(), {}
    for number in range(len(requests) - 5):  # threads may make it a few less
        _, found = shop.disturbed(number, fault)
        if found:
            wrong[number, requests[number]] = found
    assert not wrong


@pytest.mark.soak
@every_scenario
@pytest.mark.parametrize("fault", FAULTS)
def test_the_endpoint_may_go_away_at_every_request(shop: Shop, fault: str) -> None:
    requests, wrong = shop.requests(), {}
    # each fault begins elsewhere, so that together they hit every request
    for number in range(FAULTS.index(fault), len(requests) - 5, len(FAULTS)):
        said, found = shop.disturbed(number, fault, len(requests))
        if found:
            wrong[number, requests[number]] = [said, *found]
    assert not wrong
