"""Who does a run's work: threads of this process, which share its device, or processes of Ray's, each with its own."""

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial, wraps
from typing import Any, Self

from prefect import Task
from prefect.futures import PrefectFuture, wait
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters

from configs.schema import ComputeConfig
from flows.compute.ray_cluster import Cluster, load_engine
from tasks.runtime.ledger import StageResult
from tasks.runtime.progress import stoppable
from tasks.runtime.stage_options import DEVICE_TAG

STOPS_WITHIN = 8.0  # seconds that a stopped run waits for its work, before whoever stopped it kills it (serve: 15)


class Workers:
    """Runs stages as Prefect tasks; a context manager, inside a flow.

    Each task has a thread here, which does the work itself or, with `compute.devices` above 1 or `compute.ray`, waits
    for the process that does it.
    """

    def __init__(self, compute: ComputeConfig) -> None:
        self.at_once = compute.workers * compute.devices  # chunks, each of three tasks
        self._runner = ThreadPoolTaskRunner[Any](max_workers=3 * self.at_once)
        self._cluster = Cluster(compute) if compute.on_ray else None
        self._entered = ExitStack()
        self._running = ExitStack()
        self.recorded: list[str] = []  # the keys of the stages' records, from which a killed run goes on

    def __enter__(self) -> Self:
        self._stop = self._entered.enter_context(stoppable())
        return self

    def __exit__(self, *error: Any) -> None:
        """Waits for the threads, but not for those that go on after the run was stopped: a thread that waits in Prefect
        for a device cannot be told to end."""
        with self._entered:
            self._running.__exit__(*error)

    def start(self) -> None:
        """Loads torch, diffusers and transformers, or starts the processes that do. A night with nothing to do does not
        call it, which saves seconds."""
        if self._cluster:
            self._entered.enter_context(self._cluster)
        else:
            load_engine()
        self._running.enter_context(self._runner)

    def submit(self, stage: Task[..., Any], title: str, *arguments: Any, at_once: int = 1) -> PrefectFuture[Any]:
        """Starts one task run. A device is given at most `at_once` of those that need one."""
        named = stage.with_options(task_run_name=title)
        if self._cluster:
            share = at_once if DEVICE_TAG in stage.tags else None
            named.fn = wraps(stage.fn)(partial(self._cluster.run, stage, share))
        return self._runner.submit(named, get_call_parameters(stage.fn, arguments, {}))

    def results(self, futures: Iterator[PrefectFuture[Any]], ahead: int) -> list[StageResult[Any]]:
        """The results of all futures, each submitted as the iterator gives it; at most `ahead` are under way at once.

        The first failure is raised once those under way have ended, and then nothing more is submitted: a store that is
        full or away is not asked again for each chunk.
        """
        running, results = deque[PrefectFuture[StageResult[Any]]](), list[StageResult[Any]]()
        try:
            for future in futures:
                running.append(future)
                if len(running) >= ahead:
                    results.append(running.popleft().result())
            while running:
                results.append(running.popleft().result())
        except BaseException as error:
            if not isinstance(error, Exception):  # Ctrl-C or SIGTERM: nobody wants to wait for what is under way
                self._stop()
                left = self._running.pop_all()  # `__exit__` then waits for none, even if a second signal ends this wait
                if not wait(list(running), STOPS_WITHIN).not_done:
                    self._running = left
            else:
                wait(list(running))
            raise
        self.recorded += [result.key for result in results if result.key]
        return results
