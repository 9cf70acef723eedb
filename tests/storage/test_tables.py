import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from catalog_schemas.arrow import from_table
from catalog_schemas.errors import StoreError, StoreUnreachable
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.run import RunRecord
from tasks.storage import merging
from tasks.storage.merging import FILES
from tasks.storage.objects import open_store
from tasks.storage.table_rows import TABLES, rows_of
from tasks.storage.tables import Tables
from tests.storage.publisher import NAMES, publish, start_publisher

NOW = datetime(2026, 11, 23, 5, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def tables(store) -> Tables:
    return Tables(store)


@pytest.fixture
def local(tmp_path: Path) -> Tables:
    return Tables(open_store(str(tmp_path / "store")))


def images(*names: str, **columns: object) -> pa.Table:
    """Rows of `tables/images`: what matters to the test, everything else null."""
    schema = TABLES["images"].schema
    given = [
        {"image_id": name, "sku": name[:1], "seed": number, "created_at": NOW} for number, name in enumerate(names)
    ]
    return pa.Table.from_pylist([{n: (row | columns).get(n) for n in schema.names} for row in given], schema=schema)


def ids(tables: Tables, **options) -> list[str]:
    return sorted(tables.read("images", ["image_id"], **options)["image_id"].to_pylist())


def rejection(sku: str, detail: str = "blurred") -> Rejection:
    return Rejection(sku, "check_variants", Reason.CHECK_FAILED, f"variant-{sku}", detail, "run-1", NOW)


def test_an_absent_table_is_empty_and_has_its_schema(tables: Tables) -> None:
    for name, spec in TABLES.items():
        assert tables.version(name) == -1
        rows = tables.read(name)
        assert rows.num_rows == 0
        assert rows.schema == spec.schema
    assert tables.read("images", ["sku", "key"]).column_names == ["sku", "key"]
    assert list(tables.store.list()) == [], "reading makes nothing"


def test_records_come_back_as_they_were(tables: Tables) -> None:
    run = RunRecord("r1", "catalog.parquet", "{}", "completed", *range(10, 23), 1.5, NOW, NOW)
    assert tables.merge("runs", rows_of("runs", [run]), "r1") == 1
    assert from_table(RunRecord, tables.read("runs")) == [run]


def test_the_same_refusal_on_two_nights_is_one_row(tables: Tables) -> None:
    assert tables.merge("rejections", rows_of("rejections", [rejection("a")]), "r1") == 1
    twice = rows_of("rejections", [rejection("a"), rejection("b")])
    assert tables.merge("rejections", twice, "r2") == 1
    held = tables.read("rejections")
    assert sorted(held["sku"].to_pylist()) == ["a", "b"]
    assert sorted(held["rejection_id"].to_pylist()) == sorted([rejection("a").id, rejection("b").id])


def test_a_run_commits_to_a_table_once(tables: Tables) -> None:
    assert tables.merge("images", images("a1", "a2"), "r1") == 2
    assert tables.version("images") == 1
    assert tables.merge("images", images("a1", "a2"), "r1") == 0
    assert tables.merge("images", images("a3"), "r1") == 0, "one commit per table and run"
    assert tables.version("images") == 1
    assert ids(tables) == ["a1", "a2"]


def test_nothing_new_is_no_commit(tables: Tables) -> None:
    tables.merge("images", images("a1"), "r1")
    assert tables.merge("images", images("a1"), "r2", ("seed", "retired_at")) == 0
    assert tables.merge("images", images(), "r3") == 0
    assert tables.version("images") == 1
    assert tables.merge("images", images("a2"), "r2") == 1, "a run that changed nothing may still commit"


def test_only_the_named_columns_change_and_only_where_they_differ(tables: Tables) -> None:
    tables.merge("images", images("a1", "a2", "b1", title="old"), "r1")
    retired = images("a1", "b1", "c1", title="new", retired_at=NOW)
    assert tables.merge("images", retired, "r2", ("retired_at",)) == 3
    held = {row["image_id"]: (row["title"], row["retired_at"]) for row in tables.read("images").to_pylist()}
    assert held == {"a1": ("old", NOW), "a2": ("old", None), "b1": ("old", NOW), "c1": ("new", NOW)}
    assert tables.merge("images", images("a1", "a2"), "r3", ("retired_at",)) == 1, "a null takes it back"
    assert tables.version("images") == 3


def test_of_rows_with_one_key_the_first_counts(tables: Tables) -> None:
    twice = pa.concat_tables([images("a1", title="first"), images("a1", title="second")])
    assert tables.merge("images", twice, "r1") == 1
    assert tables.read("images", ["title"])["title"].to_pylist() == ["first"]


def test_a_filter_reads_only_what_it_names(tables: Tables) -> None:
    tables.merge("images", images("a1", "a2", "b1"), "r1")
    tables.merge("images", images("a1", retired_at=NOW), "r2", ("retired_at",))
    assert ids(tables, filters=[("sku", "=", "a")]) == ["a1", "a2"]
    assert ids(tables, filters=[("sku", "in", ["b"]), ("seed", ">", 1)]) == ["b1"]
    assert ids(tables, filters=[]) == ["a1", "a2", "b1"]


def test_live_images_are_those_that_nothing_has_replaced_of_all_skus_or_some(tables: Tables) -> None:
    tables.merge("images", images("a1", "a2", "b1", "c1"), "r1")
    tables.merge("images", images("a1", "c1", retired_at=NOW), "r2", ("retired_at",))
    for skus, live in ((None, ["a2", "b1"]), (["a", "c"], ["a2"]), (["c"], []), ([], [])):
        rows = tables.live_images(["image_id"], skus)
        assert (rows.column_names, sorted(rows["image_id"].to_pylist())) == (["image_id"], live)


def test_live_rows_come_with_all_columns_or_those_asked_for(local: Tables) -> None:
    local.merge("images", images("a1"), "r1")
    assert local.live_images().schema == TABLES["images"].schema
    assert local.live_images(["retired_at", "sku"]).to_pylist() == [{"retired_at": None, "sku": "a"}]
    schema = TABLES["adapters"].schema
    rows = [{"adapter_id": name, "retired_at": moment} for name, moment in (("old", NOW), ("new", None))]
    named = [{column: row.get(column) for column in schema.names} for row in rows]
    local.merge("adapters", pa.Table.from_pylist(named, schema=schema), "r1")
    assert local.live_adapters(["adapter_id"]).to_pylist() == [{"adapter_id": "new"}]


def test_of_an_empty_list_no_row_is_one_whatever_else_is_asked(tables: Tables) -> None:
    tables.merge("images", images("a1", "b1"), "r1")
    for filters in ([("sku", "in", [])], [("image_id", "==", "a1"), ("sku", "in", ())]):
        rows = tables.read("images", ["key", "sku"], filters)
        assert (len(rows), rows.column_names) == (0, ["key", "sku"])


def test_of_a_file_only_the_groups_of_rows_that_are_asked_for_are_read(
    local: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = pq.ParquetFile.read_row_group, list[int]()

    def noted(file: pq.ParquetFile, group: int, *, columns: list[str], **options):
        if "image_id" in columns:
            seen.append(group)
        return read(file, group, columns=columns, **options)

    monkeypatch.setattr(merging, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    local.merge("images", images("a1", "a2", "a3", "b1", "c1", "c2"), "r1")
    assert ids(local, filters=[("sku", "=", "b")]) == ["b1"]
    assert seen == [1]
    assert ids(local, filters=[("sku", "in", ["a", "c"])]) == ["a1", "a2", "a3", "c1", "c2"]
    assert seen == [1, 0, 1, 2]
    assert ids(local, filters=[("sku", "=", "d")]) == []
    assert seen == [1, 0, 1, 2]
    assert ids(local) == ["a1", "a2", "a3", "b1", "c1", "c2"]


def test_a_table_of_many_small_files_becomes_one_of_few(local: Tables) -> None:
    """Each file is a read of its own, which takes its time in a bucket."""

    def files() -> int:
        return len(DeltaTable(local.uri("images")).file_uris())

    for number in range(FILES + 1):
        local.merge("images", images(f"a{number}", title="old"), f"r{number}")
    assert files() == FILES + 1
    assert local.merge("images", images("a0", title="old"), "same", ("title",)) == 0
    assert files() == FILES + 1, "nothing new is no commit"
    assert local.merge("images", images("a0", "b", title="new"), "last", ("title",)) == 2
    assert files() == 1
    held = {row["image_id"]: row["title"] for row in local.read("images").to_pylist()}
    assert held == {f"a{number}": "old" for number in range(FILES + 1)} | {"a0": "new", "b": "new"}
    assert len(ids(local, version=FILES + 1)) == FILES + 1, "versions before it are still there"


def test_what_changes_in_small_files_alone_is_not_lost_where_they_become_one(local: Tables) -> None:
    for number in range(FILES + 1):
        local.merge("images", images(f"a{number}", title="old"), f"r{number}")
    assert local.merge("images", images("a0", title="new"), "last", ("title",)) == 1
    assert len(DeltaTable(local.uri("images")).file_uris()) == 1
    assert local.read("images", ["title"])["title"].to_pylist().count("new") == 1
    assert len(ids(local)) == FILES + 1


def test_small_files_become_full_ones_and_no_row_is_lost_or_counted_twice(local: Tables) -> None:
    night = [f"{number}-{letter}" for number in range(3) for letter in "abc"]
    new = [f"new-{number}" for number in range(10)]
    with patch.multiple(merging, ROWS_PER_FILE=4, SMALL=4, FILES=2):
        for number in range(3):
            local.merge("images", images(*night[3 * number : 3 * number + 3]), f"r{number}")
        assert local.merge("images", images(night[0], *new, title="t"), "last", ("title",)) == 11
    assert ids(local) == sorted(night + new)
    files = pa.table(DeltaTable(local.uri("images")).get_add_actions())
    assert sorted(files["num_records"].to_pylist()) == [1, 4, 4, 4, 6], "two that make a full one, and what is left"
    log = map(json.loads, local.store.read(f"tables/images/_delta_log/{4:020}.json").splitlines())
    removed = [action["remove"]["path"] for action in log if "remove" in action]
    assert len(removed) == len(set(removed)) == 3


def test_keys_with_quotes_are_keys(tables: Tables) -> None:
    hostile = ["it's", "a' OR 'x'='x", 'say "hi"', "new\nline", "ü"]
    assert tables.merge("images", images(*hostile), "r'1") == 5
    assert tables.merge("images", images(*hostile, title="t"), "r2", ("title",)) == 5
    assert ids(tables) == sorted(hostile)
    assert tables.merge("images", images("more"), "r'1") == 0


def test_a_table_of_an_older_version_gains_the_new_columns(tables: Tables) -> None:
    old = TABLES["images"].schema
    for name in ("retired_at", "alt_text"):
        old = old.remove(old.get_field_index(name))
    options = tables.store.delta_options
    DeltaTable.create(tables.uri("images"), old, storage_options=options)
    write_deltalake(tables.uri("images"), images("a1").select(old.names), mode="append", storage_options=options)
    assert tables.read("images", ["image_id", "alt_text"]).to_pylist() == [{"image_id": "a1", "alt_text": None}]
    assert tables.merge("images", images("a2", alt_text="a mug"), "r1") == 1
    held = {row["image_id"]: row["alt_text"] for row in tables.read("images").to_pylist()}
    assert held == {"a1": None, "a2": "a mug"}
    assert tables.merge("images", images("a1", alt_text="now"), "r2", ("alt_text",)) == 1


@pytest.mark.parametrize("few", [FILES, 0])
def test_a_table_of_a_newer_version_keeps_its_columns(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(merging, "FILES", few)
    newer = TABLES["images"].schema.append(pa.field("mood", pa.string()))
    options = tables.store.delta_options
    DeltaTable.create(tables.uri("images"), newer, storage_options=options)
    rows = images("a1").append_column(newer.field("mood"), pa.array(["calm"]))
    write_deltalake(tables.uri("images"), rows, mode="append", storage_options=options)
    assert tables.merge("images", images("a1", "a2", title="t"), "r1", ("title",)) == 2
    assert tables.read("images").schema == TABLES["images"].schema
    plain = DeltaTable(tables.uri("images"), storage_options=options).to_pyarrow_table(columns=["image_id", "mood"])
    assert {row["image_id"]: row["mood"] for row in plain.to_pylist()} == {"a1": "calm", "a2": None}


def test_anyone_reads_the_tables(store, tables: Tables, tmp_path: Path) -> None:
    tables.merge("images", images("a1", "a2", title="t"), "r1")
    tables.merge("images", images("a1", title="u"), "r2", ("title",))
    table = DeltaTable(tables.uri("images"), storage_options=tables.store.delta_options)
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert sorted(frame["image_id"]) == ["a1", "a2"]
    assert table.to_pandas(filters=[("title", "=", "u")])["image_id"].tolist() == ["a1"]
    assert table.count() == 2
    assert {str(field.type) for field in table.to_pyarrow_dataset().schema if "view" in str(field.type)} == set()
    held = duckdb.from_arrow(table.to_pyarrow_dataset())
    assert held.aggregate("title, count(*)").order("title").fetchall() == [("t", 1), ("u", 1)]


def test_a_run_is_seen_wholly_or_not_at_all(local: Tables) -> None:
    seen: set[int] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add(local.read("images", ["image_id"]).num_rows)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for run in range(5):
        local.merge("images", images(*(f"{run}-{number}" for number in range(100))), f"r{run}")
    stop.set()
    watcher.join()
    assert seen <= {0, 100, 200, 300, 400, 500}


def test_concurrent_runs_make_no_key_twice(tables: Tables) -> None:
    """Five writers, from before the table exists, each with half of its keys in common with the others."""
    start = threading.Barrier(5)

    def work(writer: int) -> int:
        own = Tables(open_store(tables.store.url))
        start.wait()
        changed = 0
        for night in range(2):
            names = [f"common-{night}-{number}" for number in range(5)] + [f"own-{writer}-{night}"]
            changed += own.merge("images", images(*names), f"r{writer}-{night}", ("seed",))
        return changed

    with ThreadPoolExecutor(5) as pool:
        changed = sum(pool.map(work, range(5)))
    expected = sorted(
        [f"common-{n}-{i}" for n in range(2) for i in range(5)] + [f"own-{w}-{n}" for w in range(5) for n in range(2)]
    )
    assert ids(tables) == expected
    assert changed == len(expected)


def test_rows_that_follow_from_the_table_are_found_anew_after_each_lost_race(
    local: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def rows() -> pa.Table:
        asked.append(local.version("images"))
        if len(asked) < 3:
            Tables(local.store).merge("images", images(f"b{len(asked)}"), f"other {len(asked)}")
        return images("a1")

    assert local.merge("images", rows, "r1") == 1
    assert (asked, ids(local)) == ([0, 1, 2], ["a1", "b1", "b2"])
    asked.clear()
    monkeypatch.setattr("tasks.storage.tables._RACES", 1)
    with pytest.raises(StoreUnreachable, match="other writers committed first 1 times in a row; run again"):
        local.merge("images", lambda: publish(local.store, "third", ["c1"]) and images("a2"), "r2")
    assert ids(local) == ["a1", "b1", "b2", "c1"]


def test_only_old_files_that_no_version_names_are_unreferenced_and_nothing_of_the_log(local: Tables) -> None:
    local.merge("images", images("a1"), "r1")
    DeltaTable(local.uri("images")).create_checkpoint()
    local.store.write("tables/images/lost.parquet", b"of a killed writer")
    hour = timedelta(hours=1)
    for before, found in ((-hour, []), (hour, ["tables/images/lost.parquet"])):
        assert [file.key for file in local.unreferenced(datetime.now(UTC) + before)] == found


def test_a_table_with_features_that_are_unknown_here_is_refused(local: Tables) -> None:
    features = {"delta.enableDeletionVectors": "true"}
    DeltaTable.create(local.uri("images"), TABLES["images"].schema, configuration=features)
    with pytest.raises(StoreError, match="another program gave the table features that are unknown here"):
        local.read("images")


def test_one_run_published_by_three_processes_is_published_once(local: Tables) -> None:
    started = [start_publisher(local.store.url, run) for run in ("same", "same", "same", "other")]
    said = [(told.recv(), told.recv()) for _, told in started]
    for process, _ in started:
        process.join(300)
    assert [process.exitcode for process, _ in started] == [0] * 4
    assert sorted(said) == [("ready", 0)] * 3 + [("ready", 20)]
    assert ids(local) == sorted(NAMES)
    assert local.version("images") == 1, "the others found nothing to add"


def test_a_publisher_killed_at_any_moment_leaves_all_or_nothing(local: Tables) -> None:
    outcomes = set()
    for moment in range(8):
        shutil.rmtree(local.store.url, ignore_errors=True)
        process, told = start_publisher(local.store.url, "run")
        assert told.recv() == "ready"
        time.sleep(0.012 * moment)
        process.kill()
        process.join()
        outcomes.add(len(ids(local)))
        publish(local.store, "run")
        assert ids(local) == sorted(NAMES)
        assert local.version("images") == 1
    assert outcomes <= {0, 20}


def test_an_unknown_table_is_a_bug_of_ours(local: Tables) -> None:
    with pytest.raises(AssertionError, match="not a table"):
        local.version("pictures")
