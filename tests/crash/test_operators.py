"""verify, gc, rollback and export on stores where nights were killed, and where others are at work."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.errors import StoreError
from flows.command_line import main
from tasks.collect_garbage import Garbage, collect_garbage
from tasks.roll_back import Rollback, roll_back
from tasks.running import at_work
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import TABLES, Tables, rows_of, with_retired_at
from tasks.verify import verify
from tests.crash.crashing import OTHERS, crash_hook
from tests.crash.night import adapter_id, adapter_record, context_of, plan, run_night
from tests.crash.soundness import content, read_tables, violations
from tests.crash.watched import Clock, ClockedStore, Killed, Operation

WEEK, LATER = timedelta(days=7), timedelta(days=8)
CATALOG = {"mug": 1, "vase": 1}
CHANGED = {"mug": 2, "vase": 1}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(memory: Path, clock: Clock) -> ClockedStore:
    return ClockedStore(str(memory / "store"), clock)


def _night(store: ClockedStore, catalog: dict[str, int], run_id: str) -> None:
    run_night(store, catalog, run_id, store.clock.now())


def _gc(store: ClockedStore, rehearse: bool = False) -> Garbage:
    return collect_garbage(store, WEEK, store.clock.now(), rehearse)


def _killed_at(store: ClockedStore, key: str, run_id: str = "killed", catalog: dict[str, int] = CATALOG) -> None:
    """A night that is killed before it touches a key that holds `key`."""

    def kill(operation: Operation, call: Callable[[], Any]) -> Any:
        if any(key in one for one in operation.keys):
            raise Killed
        return call()

    store.hook = kill
    with pytest.raises(Killed):
        _night(store, catalog, run_id)
    store.hook = lambda _, call: call()


def _files(store: ObjectStore) -> set[str]:
    return {str(path.relative_to(store.url)) for path in Path(store.url).rglob("*") if path.is_file()}


def _live(store: ObjectStore) -> set[tuple[str, str]]:
    return {(row["sku"], row["key"]) for row in Tables(store).live_images(["sku", "key"]).to_pylist()}


def test_gc_leaves_a_store_alone_whose_nights_have_ended(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    before = _files(store)
    _gc(store)
    assert _files(store) == before
    clock.advance(LATER)
    gone = _gc(store)
    assert gone.keys
    assert {key.split("/")[0] for key in gone.keys} == {"cache"}
    assert _files(store) == before - set(gone.keys)
    assert verify(store, lambda *_: None).faults == ()
    assert not plan(store, CATALOG).photos


def test_a_rehearsal_names_what_would_go_and_deletes_nothing(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    _night(store, CHANGED, "two")
    clock.advance(LATER)
    before = _files(store)
    rehearsed = _gc(store, rehearse=True)
    assert _files(store) == before
    assert _gc(store) == rehearsed


def test_gc_refuses_while_a_run_may_be_running_and_takes_a_dead_one_after_the_grace_period(
    store: ClockedStore, clock: Clock
) -> None:
    _killed_at(store, "cache/publishing")
    before = _files(store)
    for rehearse in (True, False):
        with pytest.raises(StoreError, match=r"run killed began within the last 7 days and has not.*--grace"):
            _gc(store, rehearse)
    assert _files(store) == before
    clock.advance(LATER)
    assert {key.split("/")[0] for key in _gc(store).keys} == {"images", "adapters", "cache"}
    _night(store, CATALOG, "again")
    assert violations(store) == []


@pytest.mark.parametrize("ended", [False, True])
def test_a_run_that_begins_while_gc_lists_the_store_is_safe(store: ClockedStore, clock: Clock, ended: bool) -> None:
    """Even where it is over before gc deletes: it may have made a doomed image anew."""
    _killed_at(store, "cache/publishing")
    clock.advance(LATER)
    before, listed = _files(store), store.list
    began = {"runs/new/config.json", *(["runs/new/ended.json"] if ended else [])}

    def begin(prefix: str = "") -> Any:
        if prefix == "images":
            for key in began:
                store.write(key, b"{}")
        return listed(prefix)

    store.list = begin  # type: ignore[method-assign]
    with pytest.raises(StoreError, match="run new began"):
        _gc(store)
    assert _files(store) == before | began


def test_a_run_that_begins_while_gc_deletes_waits_and_gc_leaves_the_rest(
    store: ClockedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.collect_garbage.BATCH", 2)
    monkeypatch.setattr("tasks.running.POLL", 0.01)
    _night(store, CATALOG, "one")
    clock.advance(LATER)
    order = list[str]()

    def run() -> None:
        with at_work(ObjectStore(store.url), "new", b"{}"):
            order.append("run")

    night = threading.Thread(target=run)

    def hook(operation: Operation, call: Callable[[], Any]) -> Any:
        if operation.kind == "delete" and "collecting" not in operation.keys[0]:
            night.start()
            while not (Path(store.url) / "runs/new/config.json").exists():
                time.sleep(0.01)
            time.sleep(0.05)
            order.append("deleted")
        return call()

    store.hook = hook
    with pytest.raises(StoreError, match="run new began meanwhile"):
        _gc(store)
    night.join()
    assert order == ["deleted", "run"]
    assert not list(store.list("cache/collecting"))


def test_a_run_does_not_wait_for_a_gc_that_was_killed(store: ClockedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.running.POLL", 0.01)
    monkeypatch.setattr("tasks.running.PATIENCE", 0.05)
    store.write("cache/collecting/dead", b"{}")
    with at_work(store, "new", b"{}"):
        assert not list(store.list("cache/collecting"))


@pytest.mark.parametrize("place", ["tables/adapters", "tables/images", "tables/skus", "tables/runs"])
def test_gc_leaves_what_a_publication_that_was_cut_off_names_however_old(
    store: ClockedStore, clock: Clock, place: str
) -> None:
    _night(store, CATALOG, "one")
    _killed_at(store, place, catalog=CHANGED)
    clock.advance(LATER)
    gone = _gc(store)
    assert not any(key.startswith(("adapters", "cache/publishing")) for key in gone.keys)
    _night(store, CHANGED, "two")
    assert violations(store) == []
    assert not plan(store, CHANGED).photos
    runs = Tables(store).read("runs", ["run_id"])["run_id"].to_pylist()
    assert sorted(runs) == ["killed", "one", "two"]


def test_gc_leaves_what_a_younger_record_speaks_of(store: ClockedStore, clock: Clock) -> None:
    """The objects of a long stage are older than its record."""
    _killed_at(store, "cache/publishing")
    clock.advance(LATER)
    for info in list(store.list("cache/stages")):
        store.write(info.key, store.read(info.key))
    before = _files(store)
    assert _gc(store) == Garbage((), 0)
    assert _files(store) == before
    _night(store, CATALOG, "again")
    assert violations(store) == []


def test_a_gc_that_is_killed_at_any_operation_leaves_a_store_that_the_next_night_completes(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.collect_garbage.BATCH", 4)
    for number in range(100):
        store = ClockedStore(str(memory / str(number)), Clock())
        _killed_at(store, "cache/publishing")
        store.clock.advance(LATER)
        store.hook = crash_hook("after", number, store)
        try:
            _gc(store)
        except Killed:
            store.hook = lambda _, call: call()
            _night(store, CATALOG, "again")
            assert violations(store) == []
            assert not plan(store, CATALOG).photos
        else:
            break
    assert number >= 2


def test_gc_sweeps_what_killed_writers_left(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    _night(store, CHANGED, "two")
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
    live, version = read_tables(store, others), Tables(store).version("images")
    assert not litter & set(_gc(store).keys), "they may be of a writer that lives"
    clock.advance(LATER)
    gone = set(_gc(store).keys)
    assert litter <= gone
    assert not gone & {key for _, key in _live(store)}
    assert read_tables(store, others) == live
    assert Tables(store).version("images") == version
    assert len([name for name in _files(store) if name.startswith("tables/images/") and "_delta_log" not in name]) >= 1
    assert _gc(store) == Garbage((), 0)


def test_gc_takes_adapters_that_nothing_has_needed_for_two_grace_periods(store: ClockedStore, clock: Clock) -> None:
    """The newest adapter of a SKU that is still there is what its next image is drawn with, though it has none now."""
    _night(store, CATALOG, "one")
    _night(store, {"mug": 2}, "two")
    unwanted = with_retired_at(Tables(store).live_images(), clock.now())
    Tables(store).merge("images", unwanted, "image_id", "three", ("retired_at",))
    named = {row["adapter_id"]: row["key"] for row in read_tables(store)["adapters"]}
    newest = named.pop(adapter_id("mug", 2))
    for days in (LATER, LATER):
        clock.advance(days)
        assert all(store.exists(key) for key in named.values())
        _gc(store)
    assert {info.key.rpartition("/")[0] for info in store.list("adapters")} == {newest.rpartition("/")[0]}
    _night(store, CATALOG, "back")
    assert violations(store) == []
    assert store.exists(named[adapter_id("vase", 1)])


def test_gc_keeps_the_data_files_of_versions_that_were_current_within_the_grace_period(
    store: ClockedStore, clock: Clock
) -> None:
    _night(store, CATALOG, "one")
    old = Tables(store).version("images")
    clock.advance(LATER)
    _night(store, CHANGED, "two")
    _gc(store)
    assert roll_back(store, old, "back", clock.now()) == Rollback(2, 2)
    assert violations(store) == []


def test_a_rollback_brings_an_earlier_version_back_and_can_itself_be_rolled_back(
    store: ClockedStore, clock: Clock
) -> None:
    _night(store, CATALOG, "one")
    first, version = _live(store), Tables(store).version("images")
    _night(store, CHANGED, "two")
    second, newer = _live(store), Tables(store).version("images")
    assert roll_back(store, version, "back", clock.now()) == Rollback(2, 2)
    assert _live(store) == first
    assert roll_back(store, newer, "forth", clock.now()) == Rollback(2, 2)
    assert _live(store) == second
    assert roll_back(store, newer, "stay", clock.now()) == Rollback(0, 0)
    assert violations(store) == []
    assert _gc(store, rehearse=True).keys == (), "it has ended"


def test_a_rollback_whose_bytes_are_gone_is_refused_and_changes_nothing(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    version = Tables(store).version("images")
    _night(store, CHANGED, "two")
    lost = next(row["key"] for row in read_tables(store)["images"] if row["retired_at"])
    store.delete([lost])
    before = content(read_tables(store))
    with pytest.raises(StoreError, match=rf"the bytes of 1 images of version {version} are deleted, the first: {lost}"):
        roll_back(store, version, "back", clock.now())
    assert content(read_tables(store)) == before
    assert _gc(store, rehearse=True).keys == (), "it has ended"


def test_a_rollback_past_what_gc_keeps_says_so(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    version = Tables(store).version("images")
    _night(store, CHANGED, "two")
    clock.advance(LATER)
    _gc(store)
    with pytest.raises(StoreError, match=rf"version {version} is older than what garbage collection keeps"):
        roll_back(store, version, "back", clock.now())
    with pytest.raises(StoreError, match=r"has the versions 0 to \d+; there is no version 99"):
        roll_back(store, 99, "back", clock.now())


def test_a_rollback_of_an_empty_store_says_so(store: ClockedStore, clock: Clock) -> None:
    with pytest.raises(StoreError, match=r"tables/images: does not exist yet; there is no version 0"):
        roll_back(store, 0, "back", clock.now())


def test_a_rollback_publishes_first_what_a_killed_run_had_begun_to(store: ClockedStore, clock: Clock) -> None:
    _night(store, CATALOG, "one")
    first, version = _live(store), Tables(store).version("images")
    _killed_at(store, "tables/images", catalog=CHANGED)
    roll_back(store, version, "back", clock.now())
    assert _live(store) == first
    _night(store, CHANGED, "two")
    assert _live(store) == first, "the next night leaves it so"
    assert violations(store) == []


def test_a_run_that_publishes_during_a_rollback_leaves_a_sound_store(memory: Path) -> None:
    for number in range(100):
        store = ClockedStore(str(memory / str(number)), Clock())
        _night(store, CATALOG, "one")
        version = Tables(store).version("images")
        _night(store, CHANGED, "two")
        reached: list[str] = []
        hook = crash_hook(OTHERS, number, store)

        def watch(operation: Operation, call: Callable[[], Any], hook: Any = hook, reached: list[str] = reached) -> Any:
            reached += operation.keys
            return hook(operation, call)

        store.hook = watch
        roll_back(store, version, "back", store.clock.now())
        assert violations(store) == []
        if len(reached) <= number:
            break
    assert number >= 3


def _flip(store: ObjectStore, key: str) -> None:
    data = bytearray(store.read(key))
    data[0] ^= 1
    store.write(key, bytes(data))


def test_verify_finds_a_flipped_byte_a_lost_file_and_an_orphan(store: ClockedStore) -> None:
    _night(store, CATALOG, "one")
    sound = verify(store, lambda *_: None)
    assert (sound.checked, sound.faults, sound.orphans) == (6, (), ())
    flipped, lost = sorted(key for _, key in _live(store))[:2]
    adapter = next(info.key for info in store.list("adapters") if info.key.endswith(".safetensors"))
    _flip(store, flipped)
    _flip(store, adapter)
    store.delete([lost])
    store.write("images/stray.jpg", b"x")
    steps: list[tuple[int, int]] = []
    found = verify(store, lambda *step: steps.append(step))
    assert {(fault.table, fault.key) for fault in found.faults} == {
        ("images", flipped),
        ("images", lost),
        ("adapters", adapter),
    }
    assert [fault.came for fault in found.faults if fault.key == lost] == ["nothing"]
    assert found.orphans == ("images/stray.jpg",)
    assert steps == [(number, 6) for number in range(1, 7)]


def test_verify_finds_learned_words_that_are_lost(store: ClockedStore) -> None:
    _night(store, CATALOG, "one")
    record, _ = adapter_record(context_of(store, "two"), "mug", 1)
    key = f"{record.key.rpartition('/')[0]}/embedding.safetensors"
    row = rows_of("adapters", [replace(record, embedding=key)])
    Tables(store).merge("adapters", row, "adapter_id", "two", ("embedding",))
    assert [fault.key for fault in verify(store, lambda *_: None).faults] == [key]
    store.write(key, b"words")
    assert verify(store, lambda *_: None).faults == ()


def _command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows.command_line", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ, check=False)


def test_the_command_verify_ends_with_4_on_a_flipped_byte(store: ClockedStore) -> None:
    _night(store, CATALOG, "one")
    sound = _command("verify", "--store", store.url)
    assert (sound.returncode, sound.stdout) == (0, "6 live rows checked, 0 faults, 0 orphans\n")
    flipped = min(key for _, key in _live(store))
    _flip(store, flipped)
    broken = _command("verify", "--store", store.url, "--json")
    assert broken.returncode == 4, broken.stderr
    assert [fault["key"] for fault in json.loads(broken.stdout)["faults"]] == [flipped]


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main([*arguments, "--json"])
    written = capsys.readouterr()
    answer = json.loads(written.out)
    if code:
        assert answer["exit_code"] == code
        assert written.err == f"packshot: {answer['error']}\n"
    return code, answer


def test_the_commands_gc_rollback_and_export_do_what_they_say(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _night(store, CATALOG, "one")
    version = Tables(store).version("images")
    _night(store, CHANGED, "two")
    first = {key for _, key in _live(store)}
    at = ("--store", store.url)
    code, answer = _said(capsys, "gc", *at, "--dry-run", "--grace", "0s")
    assert (code, answer["deleted"]) == (0, False)
    assert answer["keys"]
    assert _said(capsys, "gc", *at)[1]["keys"] == [], "the grace period is a week"
    code, answer = _said(capsys, "rollback", str(version), *at)
    assert (code, answer["revived"], answer["retired"]) == (0, 2, 2)
    code, answer = _said(capsys, "export", "tree", *at, "--out", str(tmp_path / "tree"))
    assert (code, answer["images"]) == (0, 4)
    copied = {path.name: path.read_bytes() for path in (tmp_path / "tree").rglob("*.jpg")}
    assert copied == {key.rpartition("/")[2]: store.read(key) for _, key in _live(store)}
    assert {key for _, key in _live(store)} != first
    code, answer = _said(capsys, "rollback", "99", *at)
    assert code == 4
    assert "there is no version 99" in answer["error"]
    for grace in ("soon", "800000d", f"{'9' * 20}d"):
        code, answer = _said(capsys, "gc", *at, "--grace", grace)
        assert code == 2
        assert f"--grace is '{grace}'" in answer["error"]
    code, answer = _said(capsys, "export", "google", *at, "--out", str(tmp_path / "feed.tsv"))
    assert code == 2
    assert "--base-url" in answer["error"]


@pytest.mark.parametrize(
    "command",
    [("verify",), ("gc",), ("rollback", "0"), ("export", "tree", "--out", "out"), ("export", "google", "--out", "out")],
)
def test_a_store_where_no_run_has_published_is_no_sound_and_empty_store(
    memory: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    code, answer = _said(capsys, *command, "--store", str(memory / "typo"))
    assert code == 4
    assert f"{memory / 'typo'}: no run has published here; check --store" in answer["error"]
    assert not (memory / "typo").exists()


def test_gc_takes_what_a_first_night_left_that_was_killed(
    store: ClockedStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write("runs/killed/config.json", b"{}")
    store.write("runs/killed/report/summary.json", b"{}")
    store.write("images/stray.jpg", b"x")
    assert _said(capsys, "gc", "--store", store.url, "--grace", "0s")[1]["keys"] == ["images/stray.jpg"]


def test_an_export_of_nothing_is_refused_and_a_channel_that_is_mistyped_is_told(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _night(store, CATALOG, "one")
    feed = ("export", "google", "--store", store.url, "--out", str(tmp_path / "feed.tsv"), "--base-url", "https://x")
    code, answer = _said(capsys, *feed, "--channel", "wbe")
    assert code == 2
    assert "--channel: no channel 'wbe' (did you mean 'web'?)" in answer["error"]
    _night(store, {}, "two")
    code, answer = _said(capsys, *feed)
    assert code == 4
    assert "no image is live" in answer["error"]
    assert not (tmp_path / "feed.tsv").exists()


def test_an_export_that_cannot_be_written_is_named_and_leaves_what_was_there(
    store: ClockedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _night(store, CATALOG, "one")
    file = tmp_path / "feed.tsv"
    file.write_text("the feed of yesterday")
    at = ("--store", store.url, "--base-url", "https://x", "--out")
    for kind, out in (("google", tmp_path), ("tree", file), ("shopify", file / "feed.csv")):
        code, answer = _said(capsys, "export", kind, *at, str(out))
        assert code == 4
        assert answer["error"].startswith(f"{out}: cannot be written: ")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert _said(capsys, "export", "google", *at, str(file))[0] == 4
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {
        "feed.tsv": "the feed of yesterday"
    }


def test_a_reader_that_leaves_early_is_no_bug(store: ClockedStore) -> None:
    _night(store, CATALOG, "one")
    command = [sys.executable, "-m", "flows.command_line", "verify", "--store", store.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert (process.wait(120), process.stderr.read()) == (0, "")


def test_a_demo_in_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.own_server.begin_server", lambda: lambda: None)
    (tmp_path / "file").write_text("")
    assert main(["demo", "--folder", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith(f"packshot: --folder {tmp_path / 'file'}: ")


def test_a_store_with_a_single_writer_is_rolled_back_as_its_runs_were_told(
    store: ClockedStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _night(store, CATALOG, "one")
    store.write("runs/older/config.json", b'{"store": {"single_writer": false}}')
    store.write("runs/two/config.json", b'{"store": {"single_writer": true}}')
    store.write("runs/rollback-20260103/config.json", b"{}")
    opened: list[bool] = []
    begin = ObjectStore.__init__

    def noted(self: ObjectStore, url: str, single_writer: bool = False) -> None:
        begin(self, url, single_writer)
        opened.append(single_writer)

    monkeypatch.setattr(ObjectStore, "__init__", noted)
    assert _said(capsys, "rollback", str(Tables(store).version("images")), "--store", store.url)[0] == 0
    assert opened[-1]
