"""Repairs of stores where nights, and repairs, were killed."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.adapter import AdapterFile, AdapterRecord
from catalog_schemas.identity import bytes_id
from tasks.planning.lost_adapters import give_up
from tasks.runtime.running import runs_begun
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tasks.upkeep.repair import Repair, repair
from tasks.upkeep.verify import Fault, verify
from tests.crash.crashing import crash_hook
from tests.crash.night import EPOCH, adapter_id, adapter_record, context_of, run_night
from tests.crash.soundness import content, read_tables, violations
from tests.crash.watched import Killed, Operation, WatchedStore, pass_on

CATALOG = {"mug": 1, "vase": 1}


@pytest.fixture
def store(memory: Path) -> WatchedStore:
    """A store after a night."""
    store = WatchedStore(str(memory / "store"))
    run_night(store, CATALOG, "one")
    return store


def _faults(store: ObjectStore) -> tuple[Fault, ...]:
    return verify(store, lambda *_: None).faults


def _damage(store: ObjectStore, photo: int) -> None:
    """An image and the adapter of the mug."""
    rows = read_tables(store)
    store.write(next(row["key"] for row in rows["images"] if row["sku"] == "mug" and not row["retired_at"]), b"damaged")
    store.delete([row["key"] for row in rows["adapters"] if row["adapter_id"] == adapter_id("mug", photo)])


def test_a_repair_that_is_killed_at_any_operation_is_completed_by_another(memory: Path, store: WatchedStore) -> None:
    whole, damaged = content(read_tables(store)), store.url
    _damage(store, photo=1)
    for number in range(100):
        store = WatchedStore(str(shutil.copytree(damaged, memory / str(number))))
        store.hook = crash_hook("after", number, store)
        try:
            repair(store, _faults(store), "killed", EPOCH)
        except Killed:
            store.hook = pass_on
            repair(store, _faults(store), "repair", EPOCH)
            run_night(store, CATALOG, "two")
            assert violations(store) == []
            assert content(read_tables(store)) == whole
        else:
            break
    assert number >= 5


def test_lost_adapters_are_given_up_by_the_next_run_where_one_was_killed_that_did_so(
    memory: Path, store: WatchedStore
) -> None:
    row = next(row for row in read_tables(store)["adapters"] if row["adapter_id"] == adapter_id("mug", 1))
    store.write(row["key"], store.read(row["key"])[:-1])
    whole, lost = store.url, {row["adapter_id"]: AdapterFile(row["key"], row["sha256"], row["bytes"])}
    for number in range(20):
        store = WatchedStore(str(shutil.copytree(whole, memory / str(number))))
        store.hook = crash_hook("after", number, store)
        try:
            give_up(store, lost, "killed", EPOCH)
        except Killed:
            store.hook = pass_on
            give_up(store, lost, "next", EPOCH)
            assert not store.exists(row["key"])
            assert [one["sku"] for one in Tables(store).live_adapters().to_pylist()] == ["vase"]
        else:
            break
    assert number >= 2


def test_a_repair_publishes_first_what_a_killed_run_had_begun_to_and_counts_as_a_run(store: WatchedStore) -> None:
    def kill(operation: Operation, call: Callable[[], Any]) -> Any:
        if "tables/images" in operation.keys[0]:
            raise Killed
        return call()

    store.hook = kill
    with pytest.raises(Killed):
        run_night(store, CATALOG | {"mug": 2}, "killed")
    store.hook = pass_on
    _damage(store, photo=2)
    assert repair(store, _faults(store), "repair", EPOCH) == Repair(0, 1), "the damaged image has been replaced"
    assert runs_begun(store, EPOCH)["repair"], "it has ended"
    run_night(store, CATALOG | {"mug": 3}, "two")
    assert violations(store) == []


def test_what_was_made_anew_since_it_was_found_lost_or_damaged_stays(store: WatchedStore) -> None:
    """To look at all of a large store takes hours, in which a run trains a lost adapter again, under the same key."""
    whole = {row["key"]: store.read(row["key"]) for name in ("images", "adapters") for row in read_tables(store)[name]}
    _damage(store, photo=1)
    row = next(row for row in read_tables(store)["adapters"] if row["adapter_id"] == adapter_id("mug", 1))
    words = f"{row['key'].rpartition('/')[0]}/embedding.safetensors"
    Tables(store).merge("adapters", rows_of("adapters", [_adapter(row, embedding=words)]), "two", ("embedding",))
    found = _faults(store)
    assert len(found) == 3
    for key, data in whole.items():
        store.write(key, data)
    store.write(words, b"words")
    store.write(row["key"], b"trained again")
    trained = _adapter(row, sha256=bytes_id(b"trained again"))
    Tables(store).merge("adapters", rows_of("adapters", [trained]), "three", ("sha256",))
    assert repair(store, found, "repair", EPOCH) == Repair(0, 0)
    assert _faults(store) == ()
    assert violations(store) == []


def _adapter(row: dict[str, Any], **changes: str) -> AdapterRecord:
    return replace(AdapterRecord(**row), **changes)


def test_learned_words_that_are_lost_cost_their_adapter_alone(store: WatchedStore) -> None:
    record, _ = adapter_record(context_of(store, "two"), "mug", 1)
    words = f"{record.key.rpartition('/')[0]}/embedding.safetensors"
    rows = rows_of("adapters", [replace(record, embedding=words)])
    Tables(store).merge("adapters", rows, "two", ("embedding",))
    assert repair(store, _faults(store), "repair", EPOCH) == Repair(0, 1)
    assert not store.exists(record.key), "or training would find it there"
    assert [row["sku"] for row in Tables(store).live_adapters().to_pylist()] == ["vase"]
