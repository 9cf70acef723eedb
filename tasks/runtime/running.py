"""Which runs are at work: how they and garbage collection keep out of each other's way, by marks in the store.

Each writes its own mark first and then looks for the other's, so that one of two that begin at once sees the other: a
run waits until a collection that deletes has stopped, and a collection stops where a run has begun.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from catalog_schemas.errors import StoreError
from tasks.runtime.context import config_key
from tasks.storage.objects import ObjectStore

COLLECTING = "cache/collecting"  # the folder of the marks of collections that delete
UNTOLD = b"{}"  # what a command that is no run, such as a review, writes as its config: it was told none
POLL = 1.0  # seconds between two looks at them
PATIENCE = 300.0  # seconds after which a mark that nobody has renewed is a killed collection's


@contextmanager
def at_work(store: ObjectStore, run_id: str, config: bytes) -> Iterator[None]:
    """Within it the run counts as running: garbage collection deletes nothing. Waits for one that deletes just now.

    Writes `runs/<run_id>/config.json` and in the end, whatever the end is, `ended.json`. A run that is killed, or whose
    store is away by then, goes on counting until the grace period is over. Raises StoreError.
    """
    store.write(config_key(run_id), config)
    try:
        _wait_for_collections(store)
        yield
    finally:
        with suppress(StoreError):  # so that it does not hide what ended the run
            store.write(f"runs/{run_id}/ended.json", b"{}")


def runs_begun(store: ObjectStore, since: datetime) -> dict[str, bool]:
    """The runs that have begun since then, and whether each has ended."""
    begun, ended = list[str](), set[str]()
    for info in store.list("runs"):
        run, _, rest = info.key.removeprefix("runs/").partition("/")
        if rest == "config.json" and info.modified >= since:
            begun.append(run)
        elif rest in ("ended.json", "report/summary.json"):  # older versions wrote the report alone
            ended.add(run)
    return {run: run in ended for run in begun}


def _wait_for_collections(store: ObjectStore) -> None:
    seen, since = set[tuple[str, datetime]](), time.monotonic()
    while marks := {(info.key, info.modified) for info in store.list(COLLECTING)}:
        if marks != seen:
            seen, since = marks, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            store.delete([key for key, _ in marks])
            return
        time.sleep(POLL)
