"""How a process of packshot's shares a machine that does something else, too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

import flows.compute.workers
from configs.schema import ComputeConfig
from flows.compute.workers import Workers
from tasks.runtime.ledger import StageResult

SHOW = "import flows, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"


@pytest.mark.parametrize(("given", "expected"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_spin_briefly_unless_they_are_told_otherwise(given: dict[str, str], expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"} | given
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [expected, "False"], "it is settled before torch is there to read it"


@dataclass
class Chunks:
    """Futures of six chunks, of which one may fail; how many are under way is counted."""

    fails: int = -1
    fault: type[BaseException] = ValueError
    under_way: list[int] = field(default_factory=list)
    most: int = 0
    begun: int = 0

    def submitted(self) -> Iterator[Any]:
        for number in range(6):
            self.begun += 1
            self.under_way.append(number)
            self.most = max(self.most, len(self.under_way))
            yield Chunk(self, number)


@dataclass
class Chunk:
    chunks: Chunks
    number: int

    def result(self) -> StageResult[int]:
        self.chunks.under_way.remove(self.number)
        if self.number == self.chunks.fails:
            raise self.chunks.fault(self.number)
        return StageResult((self.number,), key=f"key {self.number}" if self.number % 2 else "")


def test_results_come_in_order_and_so_many_are_under_way_at_once() -> None:
    workers, chunks = Workers(ComputeConfig()), Chunks()
    assert [one.records for one in workers.results(chunks.submitted(), ahead=3)] == [(n,) for n in range(6)]
    assert (chunks.most, workers.recorded) == (3, ["key 1", "key 3", "key 5"])


def test_after_a_failure_what_is_under_way_ends_first_and_nothing_more_begins() -> None:
    workers, chunks = Workers(ComputeConfig()), Chunks(fails=1)
    with patch.object(flows.compute.workers, "wait") as wait, pytest.raises(ValueError, match="1"):
        workers.results(chunks.submitted(), ahead=3)
    assert [one.number for one in wait.call_args.args[0]] == chunks.under_way == [2, 3]
    assert chunks.begun == 4


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_stopped_run_tells_its_work_to_stop_and_waits_for_threads_unless_they_go_on(goes_on: bool) -> None:
    told, ended = list[str](), list[str]()
    chunks, still = Chunks(1, KeyboardInterrupt), SimpleNamespace(not_done=["a thread"] if goes_on else [])

    def run() -> None:
        with Workers(ComputeConfig()) as workers:
            workers._running.callback(ended.append, "threads")
            workers.results(chunks.submitted(), ahead=3)

    with (
        patch.object(flows.compute.workers, "stoppable", lambda: nullcontext(lambda: told.append("stop"))),
        patch.object(flows.compute.workers, "wait", return_value=still),
        pytest.raises(KeyboardInterrupt),
    ):
        run()
    assert (told, ended) == (["stop"], [] if goes_on else ["threads"])
