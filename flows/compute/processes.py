"""A program that runs beside this one, its output in a log file, and that ends with all it has started."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

import psutil

from catalog_schemas.errors import PackshotError

READY_SECONDS = 180.0  # a server's first start also creates the database
GRACE_SECONDS = 15.0  # what a program gets to end by itself
LINES_SHOWN = 15  # of its log, where it ended unasked


class Companion:
    """A Python module run as a program of its own.

    It stands in a session of its own, so that Ctrl-C on the terminal reaches only its owner, who ends things in order.
    It holds the file `lock` open, if any, so that a lock on that file outlives an owner that was killed, for as long as
    the program runs.
    """

    def __init__(self, name: str, arguments: Sequence[str], log: Path, lock: IO[str] | None = None) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()] if lock else [],
            )
        if lock:
            lock.write(f"{name} {self.process.pid}\n")
            lock.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def has_ended(self) -> bool:
        """Whether it no longer runs."""
        return self.process.poll() is not None

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Returns once `holds()`. Raises PackshotError where the program ends first, or after `READY_SECONDS`."""
        deadline = time.monotonic() + READY_SECONDS
        while not holds():
            self.check()
            if time.monotonic() > deadline:
                raise PackshotError(
                    f"the {self.name} was not ready within {READY_SECONDS:.0f} s; its log is {self.log}"
                )
            time.sleep(0.1)

    def check(self) -> None:
        """Raises PackshotError, with its last lines, where it has ended."""
        if self.has_ended:
            raise PackshotError(f"the {self.name} ended; its log {self.log}:\n{self._last_words()}")

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LINES_SHOWN:])

    def stop(self) -> None:
        """Ends what it has started, then itself: asked first, and killed after `GRACE_SECONDS`. Does nothing twice."""
        if self.has_ended:
            _end(_session(self.process.pid))  # where it was killed, what it has started goes on
            return
        itself = psutil.Process(self.process.pid)
        _end(itself.children(recursive=True))
        _end([itself])
        self.process.wait()


def _session(leader: int) -> Iterator[psutil.Process]:
    """The processes of a session whose leader has ended; none where another process has its id by now."""
    for process in psutil.process_iter() if not psutil.pid_exists(leader) else ():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                yield process


def _end(processes: Iterable[psutil.Process]) -> None:
    """Each by its own id; psutil compares start times too, so that one that has an ended one's id is left alone."""
    alive = [process for process in processes if process.pid != os.getpid()]
    for process in alive:
        _signal(process, kill=False)
    _, alive = psutil.wait_procs(alive, timeout=GRACE_SECONDS)
    for process in alive:
        _signal(process, kill=True)
    psutil.wait_procs(alive, timeout=GRACE_SECONDS)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
