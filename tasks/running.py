"""Which runs are at work: what they tell garbage collection, by way of the store."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from catalog_schemas.errors import StoreError
from tasks.context import config_key
from tasks.storage.objects import ObjectStore


@contextmanager
def at_work(store: ObjectStore, run_id: str, config: bytes) -> Iterator[None]:
    """Within it the run counts as running: garbage collection deletes nothing.

    Writes `runs/<run_id>/config.json` and in the end, whatever the end is, `ended.json`. A run that is killed, or whose
    store is away by then, goes on counting until the grace period is over. Raises StoreError.
    """
    store.write(config_key(run_id), config)
    try:
        yield
    finally:
        with suppress(StoreError):  # what ended the run is to be heard of
            store.write(f"runs/{run_id}/ended.json", b"{}")


def runs_at_work(store: ObjectStore, since: datetime) -> list[str]:
    """Those that have begun since then and have not ended."""
    begun, ended = set[str](), set[str]()
    for info in store.list("runs"):
        run, _, rest = info.key.removeprefix("runs/").partition("/")
        if rest == "config.json" and info.modified >= since:
            begun.add(run)
        elif rest in ("ended.json", "report/summary.json"):  # older versions wrote the report alone
            ended.add(run)
    return sorted(begun - ended)
