"""Garbage collection on stores where nights were killed, and where others are at work."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from catalog_schemas.errors import StoreError
from catalog_schemas.sku import SkuRecord
from tasks.runtime.running import at_work
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import TABLES, rows_of, with_retired_at
from tasks.storage.tables import Tables
from tasks.upkeep.collect_garbage import Garbage
from tasks.upkeep.roll_back import Rollback, roll_back
from tasks.upkeep.verify import verify
from tests.crash.crashing import crash_hook
from tests.crash.night import adapter_id, adapter_record, context_of, plan
from tests.crash.operated import CATALOG, CHANGED, LATER, files, gc, killed_at, live, night
from tests.crash.soundness import read_tables, violations
from tests.crash.watched import Clock, ClockedStore, Killed, Operation


def test_gc_leaves_a_store_alone_whose_nights_have_ended(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    before = files(store)
    gc(store)
    assert files(store) == before
    clock.advance(LATER)
    gone = gc(store)
    assert gone.keys
    assert {key.split("/")[0] for key in gone.keys} == {"cache"}
    assert files(store) == before - set(gone.keys)
    assert verify(store, lambda *_: None).faults == ()
    assert not plan(store, CATALOG).photos


def test_a_dry_run_names_what_would_go_and_deletes_nothing(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    night(store, CHANGED, "two")
    clock.advance(LATER)
    before = files(store)
    named = gc(store, dry_run=True)
    assert files(store) == before
    assert gc(store) == named


def test_gc_refuses_while_a_run_may_be_running_and_takes_a_dead_one_after_the_grace_period(
    store: ClockedStore, clock: Clock
) -> None:
    killed_at(store, "cache/publishing")
    before = files(store)
    for dry_run in (True, False):
        with pytest.raises(StoreError, match=r"run killed began within the last 7 days and has not.*--grace"):
            gc(store, dry_run)
    assert files(store) == before
    clock.advance(LATER)
    assert {key.split("/")[0] for key in gc(store).keys} == {"images", "adapters", "cache"}
    night(store, CATALOG, "again")
    assert violations(store) == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_begins_while_gc_lists_the_store_is_safe(store: ClockedStore, clock: Clock, ended: bool) -> None:
    """Even where it is over before gc deletes: it may have made a doomed image anew."""
    killed_at(store, "cache/publishing")
    clock.advance(LATER)
    before, listed = files(store), store.list
    began = {"runs/new/config.json", *(["runs/new/ended.json"] if ended else [])}

    def begin(prefix: str = "") -> Any:
        if prefix == "images":
            for key in began:
                store.write(key, b"{}")
        return listed(prefix)

    store.list = begin  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="run new began"):
        gc(store)
    assert files(store) == before | began


def test_a_run_that_begins_while_gc_deletes_waits_and_gc_leaves_the_rest(
    store: ClockedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.upkeep.collect_garbage.BATCH", 2)
    monkeypatch.setattr("tasks.runtime.running.POLL", 0.01)
    night(store, CATALOG, "one")
    clock.advance(LATER)
    order = list[str]()

    def run() -> None:
        with at_work(ObjectStore(store.url), "new", b"{}"):
            order.append("run")

    begun = threading.Thread(target=run)

    def hook(operation: Operation, call: Callable[[], Any]) -> Any:
        if operation.kind == "delete" and "collecting" not in operation.keys[0]:
            begun.start()
            while not (Path(store.url) / "runs/new/config.json").exists():
                time.sleep(0.01)
            time.sleep(0.05)
            order.append("deleted")
        return call()

    store.hook = hook
    with pytest.raises(StoreError, match="run new began meanwhile"):
        gc(store)
    begun.join()
    assert order == ["deleted", "run"]
    assert not list(store.list("cache/collecting"))


def test_a_run_does_not_wait_for_a_gc_that_was_killed(store: ClockedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.runtime.running.POLL", 0.01)
    monkeypatch.setattr("tasks.runtime.running.PATIENCE", 0.05)
    store.write("cache/collecting/dead", b"{}")
    with at_work(store, "new", b"{}"):
        assert not list(store.list("cache/collecting"))


def test_a_run_waits_for_a_gc_that_lives_however_long_it_takes(
    store: ClockedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = list[float]()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        clock.advance(timedelta(seconds=1))
        store.write("cache/collecting/alive", b"{}")
        if len(waited) == 9:
            store.delete(["cache/collecting/alive"])

    monkeypatch.setattr(
        "tasks.runtime.running.time", SimpleNamespace(sleep=wait, monotonic=lambda: 200.0 * len(waited))
    )
    store.write("cache/collecting/alive", b"{}")
    with at_work(store, "new", b"{}"):
        assert len(waited) == 9


@pytest.mark.parametrize("place", ["tables/adapters", "tables/images", "tables/skus", "tables/runs"])
def test_gc_leaves_what_a_publication_that_was_cut_off_names_however_old(
    store: ClockedStore, clock: Clock, place: str
) -> None:
    night(store, CATALOG, "one")
    killed_at(store, place, catalog=CHANGED)
    clock.advance(LATER)
    gone = gc(store)
    assert not any(key.startswith(("adapters", "cache/publishing")) for key in gone.keys)
    night(store, CHANGED, "two")
    assert violations(store) == []
    assert not plan(store, CHANGED).photos
    runs = Tables(store).read("runs", ["run_id"])["run_id"].to_pylist()
    assert sorted(runs) == ["killed", "one", "two"]


def test_what_a_late_completion_retires_can_come_back_for_the_whole_grace_period(
    store: ClockedStore, clock: Clock
) -> None:
    """It was live until then, however long ago the run that retires it had ended."""
    night(store, CATALOG, "one")
    first, version = live(store), Tables(store).version("images")
    killed_at(store, "tables/images", catalog=CHANGED)
    clock.advance(LATER)
    assert live(store) == first
    night(store, CHANGED, "two")
    assert live(store) != first
    gc(store)
    roll_back(store, version, "back", clock.now())
    assert live(store) == first
    assert violations(store) == []


def test_gc_leaves_what_a_younger_record_speaks_of(store: ClockedStore, clock: Clock) -> None:
    """The objects of a long stage are older than its record."""
    killed_at(store, "cache/publishing")
    clock.advance(LATER)
    for info in list(store.list("cache/stages")):
        store.write(info.key, store.read(info.key))
    before = files(store)
    assert gc(store) == Garbage((), 0)
    assert files(store) == before
    night(store, CATALOG, "again")
    assert violations(store) == []


def test_a_gc_that_is_killed_at_any_operation_leaves_a_store_that_the_next_night_completes(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.upkeep.collect_garbage.BATCH", 4)
    for number in range(100):
        store = ClockedStore(str(memory / str(number)), Clock())
        killed_at(store, "cache/publishing")
        store.clock.advance(LATER)
        store.hook = crash_hook("after", number, store)
        try:
            gc(store)
        except Killed:
            store.hook = lambda _, call: call()
            night(store, CATALOG, "again")
            assert violations(store) == []
            assert not plan(store, CATALOG).photos
        else:
            break
    assert number >= 2


def test_gc_sweeps_what_killed_writers_left_and_what_was_replaced(store: ClockedStore, clock: Clock) -> None:
    night(store, CATALOG, "one")
    night(store, CHANGED, "two")
    litter = {
        "images/mug/web/.tmp-0123",
        "tables/images/.tmp-4567",
        "probe/0123",
        "tables/images/lost.parquet",
        "tables/images/_delta_log/00000000000000000009.json#1",
    }
    for name in litter:
        (Path(store.url) / name).parent.mkdir(exist_ok=True)
        (Path(store.url) / name).write_bytes(b"half")
    others = TABLES.keys() - {"adapters"}  # of which it retires one
    rows, version = read_tables(store, others), Tables(store).version("images")
    litter |= {row["key"] for row in rows["images"] if row["retired_at"]}
    assert len(litter) == 7
    assert not litter & set(gc(store).keys), "they may be of a writer that lives, or come back by a rollback"
    clock.advance(LATER)
    gone = set(gc(store).keys)
    assert litter <= gone
    assert not gone & {key for _, key in live(store)}
    assert read_tables(store, others) == rows
    assert Tables(store).version("images") == version
    assert len([name for name in files(store) if name.startswith("tables/images/") and "_delta_log" not in name]) >= 1
    assert gc(store) == Garbage((), 0)


def test_gc_takes_adapters_that_nothing_has_needed_for_two_grace_periods(store: ClockedStore, clock: Clock) -> None:
    """The newest adapter of a SKU that is still there is what its next image is drawn with, though it has none now."""
    night(store, CATALOG, "one")
    night(store, {"mug": 2}, "two")
    unwanted = with_retired_at(Tables(store).live_images(), clock.now())
    Tables(store).merge("images", unwanted, "three", ("retired_at",))
    named = {row["adapter_id"]: row["key"] for row in read_tables(store)["adapters"]}
    newest = named.pop(adapter_id("mug", 2))
    for days in (LATER, LATER):
        clock.advance(days)
        assert all(store.exists(key) for key in named.values())
        gc(store)
    assert {info.key.rpartition("/")[0] for info in store.list("adapters")} == {newest.rpartition("/")[0]}
    night(store, CATALOG, "back")
    assert violations(store) == []
    assert store.exists(named[adapter_id("vase", 1)])


def test_gc_keeps_a_young_adapter_that_no_image_names_and_another_follows(store: ClockedStore, clock: Clock) -> None:
    record, _ = adapter_record(context_of(store, "one"), "mug", 9)
    young = replace(record, adapter_id="young", created_at=clock.now() - timedelta(days=1))
    Tables(store).merge("adapters", rows_of("adapters", [young]), "one")
    night(store, CATALOG, "two")
    gc(store)
    assert "young" in Tables(store).live_adapters(["adapter_id"])["adapter_id"].to_pylist()


def test_gc_keeps_the_adapters_of_classes_that_no_image_names(store: ClockedStore, clock: Clock) -> None:
    record, _ = adapter_record(context_of(store, "one"), "mug", 1)
    classes = [replace(record, adapter_id=noun, sku="", class_noun=noun) for noun in ("mug", "vase")]
    Tables(store).merge("adapters", rows_of("adapters", classes), "one")
    night(store, CATALOG, "two")
    for _ in range(2):
        clock.advance(LATER)
        gc(store)
    assert {"mug", "vase"} <= set(Tables(store).live_adapters(["adapter_id"])["adapter_id"].to_pylist())


def test_gc_of_a_shop_that_has_lost_half_of_its_many_products_takes_seconds(store: ClockedStore, clock: Clock) -> None:
    context, gone, kept = (
        context_of(store, "one"),
        [f"old-{n}" for n in range(20_000)],
        [f"new-{n}" for n in range(20_000)],
    )
    record, _ = adapter_record(context, "mug", 1)
    adapters = [replace(record, adapter_id=f"of {sku}", sku=sku) for sku in (*gone, *kept)]
    skus = [SkuRecord(sku, context.catalog_name, "", "retired", 0, "one", clock.now()) for sku in gone]
    tables = Tables(store)
    tables.merge("adapters", rows_of("adapters", adapters), "one")
    tables.merge("skus", rows_of("skus", skus), "one")
    clock.advance(LATER)
    begun = time.process_time()
    gc(store)
    assert time.process_time() - begun < 5
    assert set(tables.live_adapters(["sku"])["sku"].to_pylist()) == set(kept)


def test_gc_keeps_the_data_files_of_versions_that_were_current_within_the_grace_period(
    store: ClockedStore, clock: Clock
) -> None:
    night(store, CATALOG, "one")
    old = Tables(store).version("images")
    clock.advance(LATER)
    night(store, CHANGED, "two")
    gc(store)
    assert roll_back(store, old, "back", clock.now()) == Rollback(2, 2)
    for _ in range(2):
        clock.advance(LATER)
        gc(store)
    assert violations(store) == []
    assert len(Tables(store).live_adapters()) == 3, "the older of the mug's is that of its images again"
