"""How long work shows itself: a bar on a terminal, a Prefect progress artifact in the UI, a log line elsewhere.

And how it ends before its time: each step that it tells is also where it can be stopped.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self, cast
from uuid import UUID

from tqdm import tqdm

EVERY_SECONDS = 5.0  # before the artifact is there, since nobody sees shorter work go on, and between two updates
LINE_SECONDS = 60.0  # between two log lines, whatever they are about
RELAYED_SECONDS = 0.5  # between two steps that are told to another process
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """How far a piece of work is: what a process that cannot show it tells one that can."""

    what: str
    done: int
    total: int


class Stopped(Exception):
    """The run was interrupted: its work ends between two steps."""


_relay: ContextVar[Callable[[Step], object] | None] = ContextVar("relay", default=None)
_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Gives what stops all work that was begun inside: once called, that work ends at its next step with Stopped."""
    event = threading.Event()
    token = _stop.set(event)
    try:
        yield event.set
    finally:
        _stop.reset(token)


def check_stopped() -> None:
    """Raises Stopped where the run was interrupted."""
    event = _stop.get()
    if event is not None and event.is_set():
        raise Stopped("the run was interrupted")


def sleep(seconds: float) -> None:
    """Returns after that time. Raises Stopped as soon as the run is interrupted."""
    event = _stop.get()
    if event is None:
        time.sleep(seconds)
    elif event.wait(seconds):
        check_stopped()


@contextmanager
def relayed(tell: Callable[[Step], object]) -> Iterator[None]:
    """Inside, progress goes to `tell` instead of being shown."""
    token = _relay.set(tell)
    try:
        yield
    finally:
        _relay.reset(token)


def announce(text: str, level: int = logging.INFO) -> None:
    """One line beside the bars on a terminal, a log line elsewhere."""
    if sys.stderr.isatty():
        tqdm.write(text, file=sys.stderr)
    else:
        logger.log(level, "%s", text)


class Progress:
    """Progress of one task run; use as a context manager and call `update(done, total)`."""

    line_at: ClassVar[float] = time.monotonic()  # of the last log line

    def __init__(self, what: str) -> None:
        self.what = what
        self.tell = _relay.get()
        self.bar: tqdm | None = None
        self.has_page = False  # a task run's, in the UI
        self.artifact: UUID | None = None
        self.shown_at = time.monotonic()

    def __enter__(self) -> Self:
        if self.tell is not None:
            return self
        if sys.stderr.isatty():
            self.bar = tqdm(desc=self.what, leave=False, dynamic_ncols=True)
        self.has_page = _is_task_run()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        if self.artifact is not None and kind is None:
            self._show(100.0)

    def update(self, done: int, total: int) -> None:
        """`done` of `total` units are finished. Raises Stopped."""
        check_stopped()
        if self.tell is not None:
            if done == total or time.monotonic() - self.shown_at >= RELAYED_SECONDS:
                self.shown_at = time.monotonic()
                self.tell(Step(self.what, done, total))
            return
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)
        now = time.monotonic()
        if self.has_page and now - self.shown_at >= EVERY_SECONDS:
            self.shown_at = now
            self._show(100.0 * done / total)
        if self.bar is None and now - Progress.line_at >= LINE_SECONDS:
            Progress.line_at = now
            logger.info("%s: %d of %d", self.what, done, total)

    def _show(self, percent: float) -> None:
        """On the task run's page."""
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if self.artifact is None:
            self.artifact = cast(UUID, create_progress_artifact(progress=percent, description=self.what))
        else:
            update_progress_artifact(self.artifact, progress=percent)


def _is_task_run() -> bool:
    """Whether Prefect runs this. A command that has not loaded Prefect does not load it here, which takes seconds."""
    context = sys.modules.get("prefect.context")
    return context is not None and context.TaskRunContext.get() is not None
