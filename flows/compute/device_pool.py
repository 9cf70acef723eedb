"""Which device's process is given the next task."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.runtime.progress import check_stopped

POLL_SECONDS = 1.0  # between two looks whether the run was interrupted
PATIENT_SECONDS = 300  # without a device before it is said
logger = logging.getLogger(__name__)


class DevicePool:
    """The processes that are there; they may come and go while others wait for one."""

    def __init__(self) -> None:
        self._busy: dict[Any, int] = {}
        self._fault: Exception | None = None
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._busy)

    def add(self, device: Any) -> None:
        """One more is there."""
        with self._changed:
            self._busy[device] = 0
            self._changed.notify_all()

    def remove(self, device: Any) -> bool:
        """One is gone; whether nobody has said so before."""
        with self._changed:
            return self._busy.pop(device, None) is not None

    def fail(self, fault: Exception) -> None:
        """None will ever come: those who wait raise this."""
        with self._changed:
            self._fault = fault
            self._changed.notify_all()

    @contextmanager
    def lent(self, share: int) -> Iterator[Any]:
        """The one with the least to do, once one has less than `share` tasks. Raises Stopped."""
        with self._changed:
            device = self._wait(share)
            self._busy[device] += 1
        try:
            yield device
        finally:
            with self._changed:
                if device in self._busy:
                    self._busy[device] -= 1
                self._changed.notify_all()

    def _wait(self, share: int) -> Any:
        waited = 0
        while True:
            check_stopped()
            if self._fault is not None:
                raise self._fault
            least = min(self._busy, key=lambda device: self._busy[device], default=None)
            if least is not None and self._busy[least] < share:
                return least
            waited += not self._changed.wait(POLL_SECONDS)
            if waited == PATIENT_SECONDS and not self._busy:
                logger.warning("no device has come yet, and work waits for one: are others using the cluster's GPUs?")
