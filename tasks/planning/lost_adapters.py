"""Adapters that the tables name and whose files are gone from the store, or cut short: a run that needs one trains it
again.

Only what a job needs is looked for, so that a night without new images looks for nothing. Whether all bytes are right
shows when the file is read: see `read_adapters`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from catalog_schemas.identity import content_id
from catalog_schemas.plan import SkuJob
from tasks.runtime.threads import Threads
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import with_retired_at
from tasks.storage.tables import Tables

ASKERS = 16  # stores are asked in parallel, for all of that time is spent waiting for them
LOST = "adapter lost"


def find_lost(
    store: ObjectStore, jobs: Sequence[SkuJob], files: dict[str, AdapterFile]
) -> tuple[tuple[SkuJob, ...], dict[str, AdapterFile], tuple[AdapterSpec, ...]]:
    """The jobs, in which lost adapters are to be trained; those that are lost, with their files; and the class adapters
    among them, which are trained again under their names: no SKU that began with one is trained again for its sake.

    `files` are those that the tables name. Raises StoreError.
    """
    own = _lost(store, files, {job.own_adapter.id for job in jobs if job.adapter and not job.train})
    jobs = tuple(replace(job, train=LOST) if job.adapter and job.adapter.id in own else job for job in jobs)
    begun = {job.start.id: job.start for job in jobs if job.train and job.start}
    classes = _lost(store, files, begun.keys() & files.keys())
    return jobs, own | classes, tuple(begun[name] for name in sorted(classes))


def give_up(store: ObjectStore, lost: dict[str, AdapterFile], run_id: str, now: datetime) -> None:
    """Retires lost adapters, so that what is trained in their place counts. Raises StoreError."""
    if not lost:
        return
    tables = Tables(store)
    store.delete([file.key for file in lost.values()])
    rows = tables.live_adapters(filters=[("adapter_id", "in", sorted(lost))])
    commit = f"{run_id}-lost-{content_id(sorted(lost))[:8]}"  # a run that begins anew may find more of them
    tables.merge("adapters", with_retired_at(rows, now), commit, ("retired_at",))


def _lost(store: ObjectStore, files: dict[str, AdapterFile], names: Iterable[str]) -> dict[str, AdapterFile]:
    asked = {name: files[name] for name in names}
    with Threads(ASKERS) as askers:
        there = askers.map(lambda file: _is_there(store, file), asked.values())
        return {name: file for (name, file), found in zip(asked.items(), there, strict=True) if not found}


def _is_there(store: ObjectStore, file: AdapterFile) -> bool:
    folder = file.key.rpartition("/")[0]
    return any((info.key, info.size) == (file.key, file.bytes) for info in store.list(folder))
