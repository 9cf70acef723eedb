"""Deletes what no live row and no running run refers to, once it is older than a grace period."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.publishing.publication import PENDING
from tasks.runtime.context import new_run_id
from tasks.runtime.ledger import keys_in
from tasks.runtime.running import COLLECTING, runs_begun
from tasks.storage.objects import PROBE, ObjectInfo, ObjectMissing, ObjectStore
from tasks.storage.table_rows import with_retired_at
from tasks.storage.tables import Tables
from tasks.upkeep.verify import orphans

RECORDS = "cache/stages"
Step = Callable[[], None]
BATCH = 1000  # objects that are deleted between two looks for runs


@dataclass(frozen=True)
class Garbage:
    """What was deleted, or in a dry run would be: the objects' keys, and their bytes together."""

    keys: tuple[str, ...]
    bytes: int


def collect_garbage(store: ObjectStore, grace: timedelta, now: datetime, dry_run: bool) -> Garbage:
    """Deletes, all of it older than `grace`: orphans, images retired longer than `grace`, caches, what a killed writer
    left unfinished, and data files that no version of a table since then names. `now` is what `time_of` says.

    A run that began within the grace period and has not ended may be using any of them: then nothing is deleted and
    StoreError names the run. A run that was killed counts as running until the grace period is over, so that its
    next attempt finds what it had finished. Rows are never deleted, nor what a publication that was cut off or a
    stage's record that stays refers to.

    A run that begins meanwhile waits for at most a batch, after which StoreError says that the rest is left. One danger
    is left: a collection that is suspended in a batch for longer than runs are patient (`running.PATIENCE`), and then
    goes on.
    """
    before = now - grace
    known = _refuse_if_running(store, grace, before)
    tables = Tables(store)
    found = [info for info in _candidates(store, tables, before) if info.modified < before]
    unfinished = [info for info in store.unfinished() if info.modified < before]
    if not dry_run:
        look = partial(_refuse_if_begun, store, known, before)
        keys, names = ([info.key for info in infos] for infos in (found, unfinished))
        steps: list[Step] = [partial(_retire_adapters, tables, before, now)]
        steps += [partial(store.delete, keys[at : at + BATCH]) for at in range(0, len(keys), BATCH)]
        steps += [partial(store.delete_unfinished, names[at : at + BATCH]) for at in range(0, len(names), BATCH)]
        _apart(store, steps, look)
    found += unfinished
    return Garbage(tuple(info.key for info in found), sum(info.size for info in found))


def time_of(store: ObjectStore) -> datetime:
    """The time by the clock that dates the store's objects: by a clock of its own that runs ahead, this machine would
    take for old what a run has just written. Writes an object, and deletes it. Raises StoreError."""
    mark = f"{PROBE}/{uuid.uuid4().hex}"
    store.write(mark, b"{}")
    try:
        return max(info.modified for info in store.list(PROBE) if info.key == mark)
    finally:
        store.delete([mark])


def _candidates(store: ObjectStore, tables: Tables, before: datetime) -> Iterator[ObjectInfo]:
    kept = _spoken_of(store, before)
    dead = {
        *orphans(store, tables),
        *_long_retired(tables, "images", before),
        *_long_retired(tables, "adapters", before),
    }
    folders = _folders(dead) - _folders(kept)
    yield from (info for info in store.list("images") if info.key in dead and info.key not in kept)
    yield from (info for info in store.list("adapters") if info.key.rpartition("/")[0] in folders)
    for info in store.list("cache"):
        if info.key not in kept and not info.key.startswith(f"{PENDING}/"):
            yield info
    yield from store.list(PROBE)
    yield from tables.unreferenced(before)


def _folders(keys: set[str]) -> set[str]:
    return {key.rpartition("/")[0] for key in keys}


def _spoken_of(store: ObjectStore, before: datetime) -> set[str]:
    """The keys that are named by publications which were cut off, and by stage records too young to be deleted."""
    keys = set[str]()
    for prefix in (PENDING, RECORDS):
        for info in store.list(prefix):
            if prefix == PENDING or info.modified >= before:
                try:
                    keys |= keys_in(json.loads(store.read(info.key)))
                except ObjectMissing:  # a run that ended meanwhile has taken it away
                    continue
    return keys


def _long_retired(tables: Tables, name: str, before: datetime) -> set[str]:
    """Keys of images or adapters retired before then that no live row, and none retired since, shares."""
    rows = tables.read(name, ["key", "retired_at"])
    gone = pc.fill_null(pc.less(rows["retired_at"], before), False)
    return set(rows.filter(gone)["key"].to_pylist()) - set(rows.filter(pc.invert(gone))["key"].to_pylist())


def _refuse_if_running(store: ObjectStore, grace: timedelta, since: datetime) -> set[str]:
    """The runs that have begun since then; raises StoreError where one of them has not ended."""
    begun = runs_begun(store, since)
    if running := sorted(run for run, has_ended in begun.items() if not has_ended):
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        raise StoreError(
            f"{store.url}: run {running[0]}{more} began within the last {str(grace).removesuffix(', 0:00:00')} "
            "and has not ended; wait until it has, or give a shorter --grace if it was killed"
        )
    return set(begun)


def _refuse_if_begun(store: ObjectStore, known: set[str], since: datetime) -> None:
    """Raises StoreError for a run that began after garbage was looked for: it may have made some of it anew."""
    if new := sorted(runs_begun(store, since).keys() - known):
        raise StoreError(f"{store.url}: run {new[0]} began meanwhile; collect the rest when it has ended")


def _apart(store: ObjectStore, steps: list[Step], look: Step) -> None:
    """Takes each step after a look for runs, which meanwhile wait: see `running`."""
    mark = f"{COLLECTING}/{uuid.uuid4().hex}"
    try:
        for step in steps:
            store.write(mark, b"{}")
            look()
            step()
    finally:
        store.delete([mark])


def _retire_adapters(tables: Tables, before: datetime, now: datetime) -> None:
    """Retires adapters older than that which nothing has needed since then."""
    rows = _unneeded(tables, before)
    run_id = f"gc-{new_run_id(now)}"
    if len(rows):
        tables.merge("adapters", with_retired_at(rows, now), run_id, ("retired_at",))


def _unneeded(tables: Tables, before: datetime) -> pa.Table:
    """Adapters of SKUs, made before then, that no image live since then names; less the newest of each SKU that is
    still in the catalog, with which its next image would be drawn."""
    columns = ["adapter_id", "sku", "created_at", "retired_at"]
    rows = tables.live_adapters(columns, [("sku", "!=", "")]).sort_by("created_at")
    newest = dict(zip(rows["sku"].to_pylist(), rows["adapter_id"].to_pylist(), strict=True))
    retired = tables.read("skus", ["sku"], [("status", "=", "retired"), ("updated_at", "<", before)])
    left = set(retired["sku"].to_pylist())
    images = tables.read("images", ["adapter_id", "retired_at"])
    used = images.filter(pc.fill_null(pc.greater_equal(images["retired_at"], before), True))["adapter_id"]
    needed = {*used.unique().to_pylist(), *(name for sku, name in newest.items() if sku not in left)}
    old = pc.less(rows["created_at"], before)
    return rows.filter(pc.and_not(old, pc.is_in(rows["adapter_id"], pa.array(needed, pa.string()))))
