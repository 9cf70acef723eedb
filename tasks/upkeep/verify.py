"""Proves that every live row of the tables resolves to bytes with its hash, and lists what nothing refers to."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from catalog_schemas.identity import bytes_id
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.tables import Tables

READERS = 8  # objects read at once: most of that time is spent waiting for storage

BATCH = 1000  # rows whose objects are asked for together


@dataclass(frozen=True)
class Fault:
    """A live row whose object is not what the row says: its key, what was expected and what came."""

    table: str
    key: str
    expected: str
    came: str


@dataclass(frozen=True)
class Verification:
    """`checked` rows, their `faults`, and the keys of objects that no row refers to: what a killed run left behind."""

    checked: int
    faults: tuple[Fault, ...]
    orphans: tuple[str, ...]


def verify(store: ObjectStore, progress: Callable[[int, int], None]) -> Verification:
    """Reads every object that a live image or an adapter refers to, and finds an adapter's learned words, whose hash
    no row holds. Raises StoreError where the store fails."""
    tables = Tables(store)
    columns = ["key", "sha256"]
    adapters = tables.live_adapters([*columns, "embedding"])
    named = {"images": tables.live_images(columns), "adapters": adapters.select(columns)}
    words = [key for key in adapters["embedding"].to_pylist() if key]
    total, done, faults = sum(map(len, named.values())), 0, list[Fault]()
    with ThreadPoolExecutor(READERS) as readers:
        for name, rows in named.items():
            for batch in rows.to_batches(max_chunksize=BATCH):  # so that a million rows are not a million futures
                for fault in readers.map(partial(fault_of, store, name), *batch.to_pydict().values()):
                    done += 1
                    if fault is not None:
                        faults.append(fault)
                    progress(done, total)
        there = readers.map(store.exists, words)
        faults += [
            Fault("adapters", key, "any", "nothing") for key, found in zip(words, there, strict=True) if not found
        ]
    return Verification(total, tuple(faults), tuple(sorted(orphans(store, tables))))


def orphans(store: ObjectStore, tables: Tables) -> Iterator[str]:
    """Keys of image and adapter objects that no row, live or retired, refers to."""
    named = {key for name in ("images", "adapters") for key in tables.read(name, ["key"])["key"].to_pylist()}
    folders = {key.rpartition("/")[0] for key in named}
    for info in store.list("images"):
        if info.key not in named:
            yield info.key
    for info in store.list("adapters"):
        if info.key.rpartition("/")[0] not in folders:
            yield info.key


def fault_of(store: ObjectStore, table: str, key: str, sha256: str) -> Fault | None:
    """What is wrong with the object of a row with this hash. Raises StoreError."""
    try:
        came = bytes_id(store.read(key))
    except ObjectMissing:
        return Fault(table, key, sha256, "nothing")
    return None if came == sha256 else Fault(table, key, sha256, came)
