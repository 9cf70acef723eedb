"""Deletes what no live row and no running run refers to, once it is older than a grace period."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.publish import PENDING
from tasks.running import COLLECTING, runs_begun
from tasks.storage.objects import ObjectInfo, ObjectMissing, ObjectStore
from tasks.storage.tables import Tables
from tasks.verify import orphans

RECORDS = "cache/stages"
BATCH = 1000  # objects that are deleted between two looks for runs


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

    A run that begins meanwhile waits for at most a batch, after which StoreError says that the rest is left. What
    remains is a collection that stands still in a batch for longer than runs are patient (`running.PATIENCE`), and
    then goes on.
    """
    before = now - grace
    known = _refuse_if_running(store, grace, before)
    found = [info for info in _candidates(store, Tables(store), before) if info.modified < before]
    unfinished = [info for info in store.unfinished() if info.modified < before]
    if not rehearse:
        look = partial(_refuse_if_begun, store, known, before)
        # Records first: a collection that is killed must not leave one that speaks of what is gone.
        keys = sorted((info.key for info in found), key=lambda key: not key.startswith(f"{RECORDS}/"))
        _delete(store, keys, store.delete, look)
        _delete(store, [info.key for info in unfinished], store.delete_unfinished, look)
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


def _refuse_if_running(store: ObjectStore, grace: timedelta, since: datetime) -> set[str]:
    """The runs that have begun since then; raises StoreError where one of them has not ended."""
    begun = runs_begun(store, since)
    if running := sorted(run for run, has_ended in begun.items() if not has_ended):
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        raise StoreError(
            f"{store.url}: run {running[0]}{more} began within the last {grace} and has not ended; "
            "wait until it has, or give a shorter --grace if it was killed"
        )
    return set(begun)


def _refuse_if_begun(store: ObjectStore, known: set[str], since: datetime) -> None:
    """Raises StoreError for a run that began after garbage was looked for: it may have made some of it anew."""
    if new := sorted(runs_begun(store, since).keys() - known):
        raise StoreError(f"{store.url}: run {new[0]} began meanwhile; collect the rest when it has ended")


def _delete(store: ObjectStore, keys: list[str], delete: Callable[[list[str]], None], look: Callable[[], None]) -> None:
    """Deletes in batches, each after a look for runs, which meanwhile wait: see `running`."""
    mark = f"{COLLECTING}/{uuid.uuid4().hex}"
    try:
        for start in range(0, len(keys), BATCH):
            store.write(mark, b"{}")
            look()
            delete(keys[start : start + BATCH])
    finally:
        store.delete([mark])
