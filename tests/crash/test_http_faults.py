"""Each request of a night on S3 goes wrong in each way that there is; the night ends right or says what is wrong.

The next night completes it either way. A fault hits one request, or that and all that follow: an endpoint that is gone
for the rest of the night. In a night with a stall the store waits a second where it would wait twenty. A few requests
are hit in the ordinary tests, and all of them in `make soak`.
"""

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from catalog_schemas.errors import StoreError, StoreUnreachable
from catalog_schemas.sku import SkuRecord
from tasks.storage.s3 import S3Bucket, filesystem
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.crash.crashing import SCENARIOS, Scenario, Uninterrupted, ended, prepare, uninterrupted
from tests.crash.night import run_night
from tests.crash.watched import WatchedStore
from tests.servers.faulty import CUT, ERROR, LOSE_REPLY, PASS, RESET, STALL, THROTTLE, faulty_proxy
from tests.servers.fixtures import use
from tests.servers.moto import SECRET, S3Server

PATIENT = 20  # seconds, for nobody stalls, and a busy machine may take its time
FAULTS = (ERROR, THROTTLE, RESET, STALL, CUT, LOSE_REPLY)
METHOD = {CUT: "GET", LOSE_REPLY: "PUT"}  # of the requests that such a fault matters to
ONE_PRODUCT = Scenario((), {"mug": 1})


class HastyBucket(S3Bucket):
    """A bucket that waits for an answer as long as it is told."""

    seconds = PATIENT

    @override
    def connect(self) -> Any:
        return filesystem(read_seconds=self.seconds)

    @override
    def delta_options(self) -> dict[str, str]:
        return super().delta_options() | {"timeout": f"{self.seconds}s", "retry_timeout": "3s"}


class HastyStore(WatchedStore):
    """A store that asks again soon."""

    _pauses = (0.01, 0.02)  # type: ignore[assignment]

    def __init__(self, url: str, seconds: int = PATIENT) -> None:
        super().__init__(url)
        self._driver = HastyBucket("s3", url.removeprefix("s3://"))
        self._driver.seconds = seconds


@dataclass
class Line:
    """The line to the server: which requests of the night meet which fault."""

    endpoint: str = ""
    faults: dict[int, str] = field(default_factory=dict)  # by the number of the request
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, method: str, path: str) -> str:
        with self.lock:
            self.asked.append(f"{method} {path}")
            return self.faults.get(len(self.asked) - 1, PASS)

    def count_from_here(self, faults: dict[int, str]) -> None:
        """The next request is number 0."""
        with self.lock:
            self.asked.clear()
            self.faults = faults

    def mend(self) -> None:
        """Everything passes."""
        self.count_from_here({})


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
    return Shop(s3, line, scenario, whole)


every_scenario = pytest.mark.parametrize("shop", SCENARIOS, indirect=True)


@dataclass
class Shop:
    """Stores, each with the nights before in it, and in a bucket of its own: moto lists by looking at all of it."""

    s3: S3Server
    line: Line
    scenario: Scenario
    whole: Uninterrupted
    left: dict[str, bytes] = field(default_factory=dict)  # by the nights before, which need not be run each time

    def begin(self) -> HastyStore:
        """A store before the night."""
        self.line.mend()
        store = HastyStore(self.s3.make_bucket(f"line-{uuid.uuid4().hex[:12]}") + "/shop")
        for key, data in self.left.items():
            store.write(key, data)
        if not self.left:
            prepare(self.scenario, store)
            self.left = {info.key: store.read(info.key) for info in store.list("")}
        store.probe_conditional_writes()
        return store

    def requests(self) -> list[str]:
        """What a night asks for where nothing goes wrong."""
        store = self.begin()
        self.line.mend()
        run_night(store, self.scenario.tonight, "counted")
        return list(self.line.asked)

    def disturbed(self, faults: dict[int, str]) -> tuple[str, list[str]]:
        """A night with faults at requests, and the next; returns what the first said, and all that is wrong."""
        store, said = self.begin(), ""
        if STALL in faults.values():
            store = HastyStore(store.url, seconds=1)
            store.probe_conditional_writes()
        self.line.count_from_here(faults)
        try:
            run_night(store, self.scenario.tonight, "disturbed")
        except StoreError as error:
            said = str(error)
        hit = len(self.line.asked) > min(faults)
        self.line.mend()
        wrong = [] if hit else ["the request never came"]
        if not said:
            wrong += ended(self.whole, HastyStore(store.url))
        elif "\n" in said or not said.startswith("s3://") or SECRET in said:
            wrong.append(f"said: {said}")
        run_night(HastyStore(store.url), self.scenario.tonight, "next")
        return said, wrong + ended(self.whole, HastyStore(store.url))


def _sample(requests: list[str]) -> list[tuple[int, str]]:
    """The number of a request for each fault, from the first to the last of a night."""
    places = [(2 * place + 1) * len(requests) // (2 * len(FAULTS)) for place in range(len(FAULTS))]
    return [(_nearest(requests, METHOD.get(fault, ""), at), fault) for fault, at in zip(FAULTS, places, strict=True)]


def _nearest(requests: list[str], method: str, place: int) -> int:
    fitting = [number for number, request in enumerate(requests) if request.startswith(method)]
    return min(fitting, key=lambda number: abs(number - place))


def test_a_fault_on_the_way_to_s3_is_ridden_out_or_told_and_the_next_night_completes_it(shop: Shop) -> None:
    requests = shop.requests()
    assert len(requests) > 50
    sample = _sample(requests)
    for some in (sample[::2], sample[1::2]):
        said, wrong = shop.disturbed(dict(some))
        assert not wrong, (said, [(fault, requests[number]) for number, fault in some])
    said, wrong = shop.disturbed(dict.fromkeys(range(len(requests) // 2, 2 * len(requests)), ERROR))
    assert "no usable answer" in said
    assert not wrong


def test_an_endpoint_that_goes_away_at_any_request_of_a_commit_is_told(s3: S3Server, line: Line) -> None:
    bucket = s3.make_bucket(f"line-{uuid.uuid4().hex[:12]}")
    tables = Tables(HastyStore(bucket))
    tables._pauses = ()

    def commit(number: int) -> int:
        record = SkuRecord(f"sku-{number}", "catalog", "print", "published", 1, "", datetime(2026, 1, 1, tzinfo=UTC))
        return tables.merge("skus", rows_of("skus", [record]), f"run-{number}")

    assert commit(-1) == 1
    line.mend()
    assert commit(-2) == 1
    requests = len(line.asked)
    for number in range(requests):
        line.count_from_here(dict.fromkeys(range(number, 20 * requests), ERROR))
        with pytest.raises(StoreUnreachable, match="no usable answer"):
            commit(number)
        line.mend()
    assert [commit(number) for number in range(requests)] == [1] * requests


@pytest.mark.soak
@every_scenario
@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_may_fail_once(shop: Shop, fault: str) -> None:
    requests, wrong = shop.requests(), {}
    for number in range(len(requests) - 5):  # threads may make it a few less
        _, found = shop.disturbed({number: fault})
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
        said, found = shop.disturbed(dict.fromkeys(range(number, 2 * len(requests)), fault))
        if found:
            wrong[number, requests[number]] = [said, *found]
    assert not wrong
