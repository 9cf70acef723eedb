"""What tests of verify, gc and rollback do to a store: nights, some of them killed, and collections."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables
from tasks.upkeep.collect_garbage import Garbage, collect_garbage
from tests.crash.night import run_night
from tests.crash.watched import ClockedStore, Killed, Operation

WEEK, LATER = timedelta(days=7), timedelta(days=8)
CATALOG = {"mug": 1, "vase": 1}
CHANGED = {"mug": 2, "vase": 1}


def night(store: ClockedStore, catalog: dict[str, int], run_id: str) -> None:
    run_night(store, catalog, run_id, store.clock.now())


def gc(store: ClockedStore, dry_run: bool = False) -> Garbage:
    return collect_garbage(store, WEEK, store.clock.now(), dry_run)


def killed_at(store: ClockedStore, key: str, run_id: str = "killed", catalog: dict[str, int] = CATALOG) -> None:
    """A night that is killed before it touches a key that holds `key`."""

    def kill(operation: Operation, call: Callable[[], Any]) -> Any:
        if any(key in one for one in operation.keys):
            raise Killed
        return call()

    store.hook = kill
    with pytest.raises(Killed):
        night(store, catalog, run_id)
    store.hook = lambda _, call: call()


def files(store: ObjectStore) -> set[str]:
    return {str(path.relative_to(store.url)) for path in Path(store.url).rglob("*") if path.is_file()}


def live(store: ObjectStore) -> set[tuple[str, str]]:
    return {(row["sku"], row["key"]) for row in Tables(store).live_images(["sku", "key"]).to_pylist()}


def flip(store: ObjectStore, key: str) -> None:
    data = bytearray(store.read(key))
    data[0] ^= 1
    store.write(key, bytes(data))
