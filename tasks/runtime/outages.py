"""How a run outlives an outage: while a bucket does not answer it waits, rather than end and lose what is under way."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from catalog_schemas.errors import StoreUnreachable
from tasks.runtime.progress import announce, sleep
from tasks.storage.faults import patient

PATIENCE_SECONDS = 15 * 60.0  # a server that is restarted or moved is back by then
EVERY_SECONDS = 10.0  # between two attempts
SAID_SECONDS = 60.0  # between two lines about it


class Outages:
    """Waits for a store that is away, for any number of threads; once it has given up, it waits no longer."""

    def __init__(self) -> None:
        self.given_up = False
        self.said_at = -SAID_SECONDS

    def wait(self, fault: StoreUnreachable, seconds: float) -> bool:
        """See `faults.patient`. Raises Stopped."""
        if self.given_up or seconds > PATIENCE_SECONDS:
            self.given_up = True
            return False
        if time.monotonic() - self.said_at >= SAID_SECONDS:
            self.said_at = time.monotonic()
            away = str(fault).partition(";")[0]
            announce(f"Waiting for up to {PATIENCE_SECONDS / 60:.0f} minutes: {away}", logging.WARNING)
        sleep(EVERY_SECONDS)
        return True


@contextmanager
def outlived() -> Iterator[None]:
    """Inside, a bucket that does not answer is waited for."""
    with patient(Outages().wait):
        yield
