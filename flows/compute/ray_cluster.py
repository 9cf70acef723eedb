"""Stages run in Ray's processes: one for each device, which keeps its model from task to task, and others for pixels.

A device's process is an actor. Ray's tasks will not do: a process that outlives its task is given another GPU with the
next one, while CUDA stays on the first it has seen. Stages travel by name, and come back piece by piece: what they log
and how far they are is shown here, as if they ran here.
"""

import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any, Self

from prefect import Task

from catalog_schemas.errors import ConfigError, WorkerLost, first_line
from configs.schema import ComputeConfig
from flows.compute.device_pool import DevicePool
from tasks.runtime.context import RunContext
from tasks.runtime.outages import outlived
from tasks.runtime.progress import Progress, Step, relayed

OURS = logging.getLogger("tasks")
KNOCK_SECONDS = 10.0
_said: ContextVar[SimpleQueue[Any] | None] = ContextVar("said", default=None)  # by the stage that a thread works for
STARTS = 3  # of a process that ends before it is ready
CALLS = 64  # to one device at once, at most as many as `compute.workers`
MEMORY = 100_000_000  # bytes of shared memory for what stages are told and answer: plain records
ON_THIS_MACHINE = {
    "RAY_AUTH_MODE": "token",  # nobody else on this machine can give it work
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # training and drawing are what this machine is for
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what needs no GPU does not hide them from what it starts
}


class Cluster:
    """The cluster at `compute.ray`, or one of this run's own on this machine; a context manager."""

    def __init__(self, compute: ComputeConfig) -> None:
        self.compute = compute
        self.pool = DevicePool()
        self.gpus = False
        self._ended = False
        self._beginning = threading.Lock()

    def __enter__(self) -> Self:
        for name, value in () if self.compute.ray else ON_THIS_MACHINE.items():
            os.environ.setdefault(name, value)
        import ray  # an extra, and seconds; it reads its settings now

        with _own_signals():
            self._connect(ray)
        options: dict[str, Any] = {"num_gpus": int(self.gpus), "num_cpus": 0, "max_concurrency": CALLS}
        options["scheduling_strategy"] = "SPREAD"  # over the machines, where there is a choice
        if not self.compute.ray:
            options["runtime_env"] = {"env_vars": {"OMP_NUM_THREADS": str(_cores_for_each(self.compute.devices))}}
        self.new_device: Callable[[], Any] = ray.remote(**options)(Device).remote
        self.helper: Any = ray.remote(num_cpus=1)(answer)
        for _ in range(self.compute.devices):
            self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        with self._beginning:
            self._ended = True
        ray.shutdown()

    def _connect(self, ray: Any) -> None:
        compute = self.compute
        if compute.ray:
            try:
                _knock(compute.ray)
                ray.init(compute.ray, log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, RuntimeError, ValueError) as error:
                raise ConfigError(
                    f"compute.ray: no Ray cluster answers at {compute.ray!r} ({first_line(error)}); start the run on "
                    "one of the cluster's machines, or leave compute.ray empty to use this machine alone"
                ) from error
            self.gpus = compute.device != "cpu"
            return
        ray.init(
            "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=MEMORY,
            _node_ip_address="127.0.0.1",
        )
        try:
            self._use_gpus(int(ray.cluster_resources().get("GPU", 0)))
        except ConfigError:
            ray.shutdown()
            raise

    def _use_gpus(self, there: int) -> None:
        """Whether devices are GPUs, where this machine has so many. Raises ConfigError where those are too few."""
        compute = self.compute
        self.gpus = compute.device == "cuda" or (compute.device == "auto" and there > 0)
        if self.gpus and there < compute.devices:
            raise ConfigError(
                f"compute.devices is {compute.devices}, but this machine has {there} GPUs; set it to as many as there "
                "are, or name a cluster that has more in compute.ray"
            )

    def run(self, stage: Task[..., Any], share: int | None, *arguments: Any) -> Any:
        """What the stage makes of the arguments, the first of which is the run's context.

        It runs on the device with the least to do, once one has less than `share` tasks, or on none where that is None.
        """
        import ray

        told = (stage.fn.__module__, stage.fn.__name__, OURS.getEffectiveLevel(), arguments)
        try:
            if share is None:
                return _follow(ray, self.helper.remote(*told))
            with self.pool.lent(share) as device:
                return self._on_device(ray, device, told)
        except ray.exceptions.RayError as error:
            raise _cause(error, stage.name) from None

    def _on_device(self, ray: Any, device: Any, told: tuple[Any, ...]) -> Any:
        """In the device's process; where that ends, another one takes its place."""
        try:
            return _follow(ray, device.run.remote(*told))
        except ray.exceptions.RayError as error:
            if _is_lost(error) and self.pool.remove(device):
                self._begin()
            raise

    def _begin(self, tries: int = STARTS) -> None:
        """Starts a process, which is given work once it can do some: in a busy cluster that may be later, or never.

        Starts none once the cluster ends. Ray then reports those that are not ready as lost, in a thread of its own
        that it waits for; to start another one in that thread would be to wait for Ray in turn.
        """
        with self._beginning:
            if self._ended:
                return
            device = self.new_device()
            starting = device.ready.remote(self.gpus).future()

        def ready(outcome: Future[None]) -> None:
            error = outcome.exception()
            if error is None:
                self.pool.add(device)
            elif _is_lost(error) and tries > 1:
                self._begin(tries - 1)
            else:
                self.pool.fail(_cause(error))

        starting.add_done_callback(ready)


class Device:
    """A process with a device of its own."""

    def ready(self, gpu: bool) -> None:
        """Loads the engine. Raises ModelError without a GPU where one is meant."""
        load_engine()
        if gpu:
            import_module("tasks.engine.base_model").pick_device("cuda")

    def run(self, *told: Any) -> Iterator[Any]:
        """See `answer`."""
        yield from answer(*told)


@dataclass(frozen=True)
class Answer:
    """What a stage returned."""

    value: Any


def answer(module: str, name: str, level: int, arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Runs a stage: yields each log record from `level` on and each step of its progress, and at last its answer."""
    said = SimpleQueue[Any]()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(_observed, said, module, name, level, *arguments)
        future.add_done_callback(lambda _: said.put(None))
        while (word := said.get()) is not None:
            yield word
        yield Answer(future.result())


def _observed(said: SimpleQueue[Any], module: str, name: str, level: int, context: RunContext, *arguments: Any) -> Any:
    _said.set(said)  # for the threads that the stage starts, too
    handler = QueueHandler(said)
    handler.addFilter(lambda record: _said.get() is said)
    OURS.setLevel(level)
    OURS.addHandler(handler)
    try:
        with relayed(said.put), outlived():
            return getattr(import_module(module), name).fn(context.arrived(), *arguments)
    finally:
        OURS.removeHandler(handler)


def _follow(ray: Any, stream: Iterable[Any]) -> Any:
    """Shows what a stage says until it answers."""
    with ExitStack() as shown:
        current: Progress | None = None
        for reference in stream:
            word = ray.get(reference)
            if isinstance(word, Answer):
                return word.value
            if isinstance(word, logging.LogRecord):
                logging.getLogger(word.name).handle(word)
            elif isinstance(word, Step):
                if current is None or current.what != word.what:
                    shown.pop_all().close()
                    current = shown.enter_context(Progress(word.what))
                current.update(word.done, word.total)
    raise WorkerLost("the stage ended without an answer")


def load_engine() -> None:
    """Loads torch, diffusers and transformers before tasks do: threads that import at once get half-made modules."""
    import_module("tasks.training.skus")


def refuse_without_ray() -> None:
    """Raises ConfigError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("compute.devices above 1 and compute.ray need Ray: pip install 'packshot[ray]'")


def _cores_for_each(devices: int) -> int:
    return max(1, (os.cpu_count() or 1) // devices)


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself asks again for minutes, and then ends the process."""
    host, _, port = address.rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; a flow has its own way to end."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _is_lost(error: BaseException) -> bool:
    """Whether the process is gone; otherwise a stage raised something in it, and the process is well."""
    from ray.exceptions import RayTaskError

    return not isinstance(error, RayTaskError)


def _cause(error: BaseException, what: str = "begin") -> Exception:
    """What was raised in another process, without Ray's wrapping."""
    if _is_lost(error):
        return WorkerLost(
            f"the process that was to {what} ended before it had ({first_line(error)}); if that happens again, look "
            "for what killed it: most often memory, of which fewer compute.devices or a smaller compute.cohort_size "
            "take less"
        )
    cause = getattr(error, "cause", error)
    return cause if isinstance(cause, Exception) else RuntimeError(str(error))
