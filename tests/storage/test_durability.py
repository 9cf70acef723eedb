import errno
import multiprocessing
import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest

from catalog_schemas.errors import StoreFull
from tasks.storage.disk import Disk
from tasks.storage.keys import TEMPORARY
from tasks.storage.objects import open_store
from tasks.storage.table_rows import TABLES
from tasks.storage.tables import Tables

SIZE = 2_000_000


def _write_forever(url: str) -> None:
    store = open_store(url)
    while True:
        for letter in (b"a", b"b"):
            store.write("images/mug/web/front", letter * SIZE)


def _create_forever(url: str) -> None:
    store = open_store(url)
    for number in range(10**9):
        store.create(f"runs/{os.getpid()}/{number}", b"c" * SIZE)


@pytest.mark.parametrize("writer", [_write_forever, _create_forever])
def test_a_killed_writer_leaves_no_partial_object(tmp_path: Path, writer) -> None:
    store = open_store(str(tmp_path))
    fork = multiprocessing.get_context("fork")
    seeded = random.Random(7)
    left_behind = 0
    for _ in range(25):
        process = fork.Process(target=writer, args=(str(tmp_path),))
        process.start()
        while process.is_alive() and sum(1 for _ in tmp_path.rglob(f"{TEMPORARY}*")) == left_behind:
            time.sleep(0.001)  # on a busy machine it begins late
        time.sleep(seeded.uniform(0.0, 0.06))
        process.kill()
        process.join()
        for entry in store.list():
            data = store.read(entry.key)
            assert len(data) == SIZE, entry.key
            assert data == data[:1] * SIZE, entry.key
        left_behind = sum(1 for _ in tmp_path.rglob(f"{TEMPORARY}*"))
        store.delete([entry.key for entry in store.list()])
    assert left_behind > 0, "no kill came in the middle of a write: the test has shown nothing"


def test_the_bytes_are_on_the_disk_before_their_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fsyncs a power cut leaves an empty file under the final name, which no kill of a process shows."""
    steps: list[str] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def spy(name, call):
        def step(*args, **options):
            path = str(Path(f"/proc/self/fd/{args[0]}").readlink()) if isinstance(args[0], int) else str(args[-1])
            steps.append(f"{name} {'temporary' if TEMPORARY in path else Path(path).name}")
            return call(*args, **options)

        return step

    monkeypatch.setattr(os, "fsync", spy("sync", fsync))
    monkeypatch.setattr(os, "replace", spy("replace", replace))
    monkeypatch.setattr(os, "link", spy("link", link))
    store = open_store(str(tmp_path / "shop"))
    store.write("a/b", b"1")
    assert steps == [f"sync {tmp_path.name}", "sync shop", "sync temporary", "replace b", "sync a"]
    steps.clear()
    store.create("a/c", b"1")
    assert steps == ["sync temporary", "link c", "sync a"]
    steps.clear()
    store.commit("a/b", lambda: None)
    assert steps == ["sync b", "sync a", "sync shop"], "what another library has written, and nothing above the store"


def test_a_write_that_fails_at_its_last_step_leaves_nothing_behind(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("a/b", b"1")
    with patch.object(Disk, "put_in_place", side_effect=OSError(errno.EDQUOT, "x")), pytest.raises(StoreFull):
        store.write("a/b", b"2")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert store.read("a/b") == b"1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("A FULL DISK IS NOT TESTED: mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said_to_be_full_and_nothing_half_written_shows(small_disk: Path) -> None:
    store = open_store(str(small_disk / "store"))
    store.write("a/small", b"1" * 100_000)
    for put in (store.write, store.create):
        with pytest.raises(StoreFull, match=r"a/big: no space is left for it \(No space left on device\); free some"):
            put("a/big", b"1" * 2_000_000)
    assert [entry.key for entry in store.list()] == ["a/small"]
    assert not list(small_disk.rglob(f"{TEMPORARY}*")), "the failed write gives its space back"
    store.write("a/small", b"2" * 100_000)


def test_a_table_on_a_full_disk_is_said_to_be_full_and_stays_as_it_was(small_disk: Path) -> None:
    store = open_store(str(small_disk / "store"))
    tables = Tables(store)

    def runs(number: int) -> pa.Table:
        schema = TABLES["runs"].schema
        row = {"run_id": f"r{number}", "config": random.Random(number).randbytes(20_000).hex()}
        return pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema=schema)

    assert tables.merge("runs", runs(0), "r0") == 1
    for number in range(1, 200):
        try:
            tables.merge("runs", runs(number), f"r{number}")
        except StoreFull:
            break
    else:
        pytest.fail("the disk never got full")
    assert tables.read("runs").num_rows == number
    assert tables.version("runs") == number
