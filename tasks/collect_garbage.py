"""Deletes objects that no live row and no running run refers to, once they are older than a grace period."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.storage.objects import ObjectInfo, ObjectStore
from tasks.storage.tables import Tables
from tasks.verify import orphans


@dataclass(frozen=True)
class Garbage:
    """What was deleted, or in a rehearsal would be: the objects' keys, and their bytes together."""

    keys: tuple[str, ...]
    bytes: int


def collect_garbage(store: ObjectStore, grace: timedelta, now: datetime, rehearse: bool) -> Garbage:
    """Deletes orphans, images retired longer than `grace`, and caches, all of them older than `grace`.

    A run that began within the grace period and has not ended may be using any of them: then nothing is deleted and
    StoreError names the run. A run that was killed counts as running until the grace period is over, so that its
    next attempt finds what it had finished. Rows are never deleted, and neither are adapters that a row names.
    """
    running = _running(store, now - grace)
    if running:
        raise StoreError(
            f"{store.url}: run {running[0]} began within the last {grace} and has not ended; "
            "wait until it has, or give a shorter --grace if it was killed"
        )
    found = [info for info in _candidates(store, Tables(store), now - grace) if info.modified < now - grace]
    if not rehearse:
        store.delete(info.key for info in found)
    return Garbage(tuple(info.key for info in found), sum(info.size for info in found))


def _candidates(store: ObjectStore, tables: Tables, before: datetime) -> Iterator[ObjectInfo]:
    dead = set(orphans(store, tables)) | _long_retired(tables, before)
    for prefix in ("images", "adapters"):
        yield from (info for info in store.list(prefix) if info.key in dead)
    yield from store.list("cache")


def _long_retired(tables: Tables, before: datetime) -> set[str]:
    """Keys of images retired before then that no live row shares."""
    rows = tables.read("images", ["key", "retired_at"])
    live = set(rows.filter(pc.is_null(rows["retired_at"]))["key"].to_pylist())
    return set(rows.filter(pc.less(rows["retired_at"], before))["key"].to_pylist()) - live


def _running(store: ObjectStore, since: datetime) -> list[str]:
    """Runs that have begun since then and have not written their report."""
    begun: dict[str, datetime] = {}
    ended = set()
    for info in store.list("runs"):
        run, _, rest = info.key.removeprefix("runs/").partition("/")
        if rest == "config.json":
            begun[run] = info.modified
        elif rest == "report/summary.json":
            ended.add(run)
    return sorted(run for run, moment in begun.items() if moment >= since and run not in ended)
