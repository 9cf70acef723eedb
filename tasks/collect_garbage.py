"""Deletes what no live row and no running run refers to, once it is older than a grace period."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.publish import PENDING
from tasks.running import runs_at_work
from tasks.storage.objects import ObjectInfo, ObjectMissing, ObjectStore
from tasks.storage.tables import Tables
from tasks.verify import orphans

RECORDS = "cache/stages"


@dataclass(frozen=True)
class Garbage:
    """What was deleted, or in a rehearsal would be: the objects' keys, and their bytes together."""

    keys: tuple[str, ...]
    bytes: int


def collect_garbage(store: ObjectStore, grace: timedelta, now: datetime, rehearse: bool) -> Garbage:
    """Deletes, all of it older than `grace`: orphans, images retired longer than `grace`, caches, what a killed writer
    left unfinished, and data files that no version of a table since then names.

    A run that began within the grace period and has not ended may be using any of them: then nothing is deleted and
    StoreError names the run. A run that was killed counts as running until the grace period is over, so that its
    next attempt finds what it had finished. Rows are never deleted, nor adapters that a row names, nor what a
    publication that was cut off or a stage's record that stays refers to.
    """
    before = now - grace
    _refuse_if_running(store, grace, before)
    found = [info for info in _candidates(store, Tables(store), before) if info.modified < before]
    unfinished = [info for info in store.unfinished() if info.modified < before]
    if not rehearse:
        _refuse_if_running(store, grace, before)  # one may have begun while the store was listed
        # Records first: a collection that is killed must not leave one that speaks of what is gone.
        store.delete(info.key for info in found if _is_record(info))
        store.delete(info.key for info in found if not _is_record(info))
        store.delete_unfinished(info.key for info in unfinished)
    found += unfinished
    return Garbage(tuple(info.key for info in found), sum(info.size for info in found))


def _candidates(store: ObjectStore, tables: Tables, before: datetime) -> Iterator[ObjectInfo]:
    kept = _spoken_of(store, before)
    folders = {key.rpartition("/")[0] for key in kept if key.startswith("adapters/")}
    dead = (set(orphans(store, tables)) | _long_retired(tables, before)) - kept
    yield from (info for info in store.list("images") if info.key in dead)
    yield from (
        info for info in store.list("adapters") if info.key in dead and info.key.rpartition("/")[0] not in folders
    )
    for info in store.list("cache"):
        if info.key not in kept and not info.key.startswith(f"{PENDING}/"):
            yield info
    yield from store.list("probe")
    yield from tables.unreferenced(before)


def _is_record(info: ObjectInfo) -> bool:
    return info.key.startswith(f"{RECORDS}/")


def _spoken_of(store: ObjectStore, before: datetime) -> set[str]:
    """The keys that publications which were cut off name, and records that are not old enough to go."""
    keys = set[str]()
    for prefix in (PENDING, RECORDS):
        for info in store.list(prefix):
            if prefix == PENDING or info.modified >= before:
                try:
                    keys |= _keys_in(json.loads(store.read(info.key)))
                except ObjectMissing:  # a run that ended meanwhile has taken it away
                    continue
    return keys


def _keys_in(value: Any) -> set[str]:
    """Every text in a JSON document that may be a store key."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set[str]().union(*map(_keys_in, value))
    return {value} if isinstance(value, str) and value.startswith(("images/", "adapters/", "cache/")) else set()


def _long_retired(tables: Tables, before: datetime) -> set[str]:
    """Keys of images retired before then that no live row, and none retired since, shares."""
    rows = tables.read("images", ["key", "retired_at"])
    gone = pc.fill_null(pc.less(rows["retired_at"], before), False)
    return set(rows.filter(gone)["key"].to_pylist()) - set(rows.filter(pc.invert(gone))["key"].to_pylist())


def _refuse_if_running(store: ObjectStore, grace: timedelta, since: datetime) -> None:
    """Raises StoreError where a run has begun since then and has not ended."""
    if running := runs_at_work(store, since):
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        raise StoreError(
            f"{store.url}: run {running[0]}{more} began within the last {grace} and has not ended; "
            "wait until it has, or give a shorter --grace if it was killed"
        )
