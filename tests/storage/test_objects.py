import pickle
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest

from catalog_schemas.errors import StoreDenied, StoreError, StoreNotFound
from tasks.storage import objects
from tasks.storage.faults import ObjectMissing
from tasks.storage.keys import safe_name
from tasks.storage.objects import ObjectStore, open_store
from tasks.storage.s3 import S3Bucket


def test_what_is_written_is_read_back(store: ObjectStore) -> None:
    for data in (b"", b"x", bytes(range(256)) * 5000):
        store.write("images/mug-1/web/front-0a1b.png", data)
        assert store.read("images/mug-1/web/front-0a1b.png") == data
    assert store.exists("images/mug-1/web/front-0a1b.png")


def test_a_large_object_goes_up_in_parts_and_comes_back_whole(store: ObjectStore) -> None:
    parts = 110 if store.url.startswith("s3") else 68  # MiB: beyond one request
    data = bytes(range(256)) * 4 * 1024 * parts
    store.write("adapters/big.safetensors", data)
    assert store.read("adapters/big.safetensors") == data


def test_writing_twice_is_writing_once(store: ObjectStore) -> None:
    store.write("a/b", b"same")
    store.write("a/b", b"same")
    assert [entry.key for entry in store.list()] == ["a/b"]


def test_an_absent_object_is_missing_and_says_which(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match=r"a/nothing: expected an object, found none"):
        store.read("a/nothing")
    assert not store.exists("a/nothing")


def test_a_folder_is_no_object(store: ObjectStore) -> None:
    store.write("a/b/c", b"1")
    assert not store.exists("a/b")
    with pytest.raises(StoreError):
        store.read("a/b")


def test_create_leaves_what_is_there(store: ObjectStore) -> None:
    assert store.create("runs/1/lease", b"first")
    assert not store.create("runs/1/lease", b"second")
    assert store.read("runs/1/lease") == b"first"
    assert [entry.key for entry in store.list()] == ["runs/1/lease"]


@pytest.mark.parametrize("same_bytes", [False, True])
def test_of_eight_creators_one_wins(store_url: str, same_bytes: bool) -> None:
    stores = [open_store(store_url) for _ in range(8)]
    for each in stores:
        each.probe_conditional_writes()
    for race in range(5 if "://" in store_url else 40):
        start = threading.Barrier(8)

        def take(writer: int, key: str = f"race/{race}", start: threading.Barrier = start) -> bool:
            start.wait()
            return stores[writer].create(key, b"same" if same_bytes else b"writer %d" % writer)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(take, range(8)))
        assert sum(won) == 1, f"race {race}: {won}"
        if not same_bytes:
            assert stores[0].read(f"race/{race}") == b"writer %d" % won.index(True)


def test_a_listing_is_ordered_and_stays_below_its_folder(store: ObjectStore) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    for key in ("images/b/2", "images/a/1", "images-old/x", "images/a/0", "images/a-z/1"):
        store.write(key, key.encode())
    found = list(store.list("images"))
    assert [entry.key for entry in found] == ["images/a-z/1", "images/a/0", "images/a/1", "images/b/2"]
    assert [entry.size for entry in found] == [12, 10, 10, 10]
    assert all(before < entry.modified < datetime.now(UTC) + timedelta(seconds=5) for entry in found)
    assert list(store.list("nothing")) == []
    assert len(list(store.list())) == 5


def test_deleting_is_idempotent(store: ObjectStore) -> None:
    keys = [f"gc/{number}" for number in range(20)]
    for key in keys[:10]:
        store.write(key, b"1")
    store.write("gc-not", b"1")
    with patch.object(objects, "_DELETE_AT_ONCE", 3):
        store.delete(keys)
        store.delete(keys)
    store.delete([])
    assert [entry.key for entry in store.list()] == ["gc-not"]


@pytest.mark.parametrize("prefix", ["", "models/tiny"])
def test_a_folder_is_fetched_whole(store: ObjectStore, tmp_path: Path, prefix: str) -> None:
    for name, data in (("unet/config.json", b"{}"), ("model_index.json", b"{1}")):
        store.write(f"{prefix}/{name}" if prefix else name, data)
    store.fetch_folder(prefix, tmp_path / "local")
    found = {str(path.relative_to(tmp_path / "local")): path.read_bytes() for path in (tmp_path / "local").rglob("*.*")}
    assert found == {"unet/config.json": b"{}", "model_index.json": b"{1}"}


def test_a_large_object_is_fetched_in_pieces(store: ObjectStore, tmp_path: Path) -> None:
    store.write("unet/weights", bytes(range(256)))
    store.write("unet/empty", b"")
    with patch.object(objects, "PIECE", 100), patch.object(ObjectStore, "read", side_effect=AssertionError("whole")):
        store.fetch_folder("", tmp_path / "local")
    assert (tmp_path / "local" / "unet" / "weights").read_bytes() == bytes(range(256))
    assert (tmp_path / "local" / "unet" / "empty").read_bytes() == b""


@pytest.mark.parametrize("prefix", ["", "models/none"])
def test_a_folder_that_is_not_there_is_told(store: ObjectStore, tmp_path: Path, prefix: str) -> None:
    with pytest.raises(ObjectMissing, match="expected a folder"):
        store.fetch_folder(prefix, tmp_path / "other")


def test_a_store_travels_to_another_process_as_its_url(store: ObjectStore) -> None:
    store.write("a", b"1")
    text = pickle.dumps(store)
    assert pickle.loads(text).read("a") == b"1"
    assert b"canary-secret" not in text
    assert pickle.loads(pickle.dumps(ObjectStore(store.url, single_writer=True))).single_writer


def test_a_key_of_another_writers_that_leads_out_of_the_folder_is_not_fetched(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.write("models/a", b"1")
    found = [replace(entry, key="models/../../out") for entry in store.list("models")]
    with patch.object(ObjectStore, "list", return_value=found), pytest.raises(AssertionError, match="not a store key"):
        store.fetch_folder("models", tmp_path / "local")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_what_is_finished_is_not_deleted_as_unfinished(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.write("images/a", b"1")
    with pytest.raises(AssertionError):
        store.delete_unfinished(["images/.tmp-1", "images/a"])
    assert store.exists("images/a")


def test_a_local_store_is_known_by_its_path(tmp_path: Path) -> None:
    for url in (str(tmp_path / "s"), f"file://{tmp_path}/s", f"{tmp_path}/s/"):
        store = open_store(url)
        assert store.url == str(tmp_path / "s")
        assert store.local_path("a/b") == tmp_path / "s/a/b"
        assert store.uri("a/b") == str(tmp_path / "s/a/b")
    assert not (tmp_path / "s").exists(), "opening a store touches nothing"


def test_a_bucket_has_no_local_path(s3) -> None:
    store = open_store(s3.make_bucket("plain"))
    assert store.local_path("a") is None
    assert store.uri("a/b") == "s3://plain/a/b"
    assert open_store("s3://plain/").url == "s3://plain"


def test_what_goes_while_it_is_listed_is_not_listed_and_below_a_file_there_is_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.write("images/a", b"1")
    (tmp_path / "images" / "b").symlink_to("gone")
    assert [entry.key for entry in store.list("images")] == ["images/a"]
    assert list(store.list("images/a")) == []


def test_a_folder_that_may_not_be_written_is_no_store(tmp_path: Path) -> None:
    with patch("os.access", return_value=False), pytest.raises(StoreDenied, match="who owns it and its permissions"):
        open_store(str(tmp_path / "store"))


def test_a_forked_process_makes_connections_of_its_own() -> None:
    with patch.object(S3Bucket, "connect", side_effect=object):
        bucket = S3Bucket("s3", "bucket")
        before = bucket.files
        assert bucket.files is before
        with patch("os.getpid", return_value=-2):
            assert bucket.files is not before


def test_a_file_in_place_of_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(StoreNotFound, match="no such folder"):
        open_store(str(tmp_path / "file" / "store"))


def test_a_store_that_is_no_store_is_refused() -> None:
    for url in ("https://shop.example/x", "memory://x", "simplecache::s3://b/x", "s3://", "s3:///x"):
        with pytest.raises(StoreNotFound):
            open_store(url)


@pytest.mark.parametrize("url", ["s3:/bucket/x", "s3:bucket/x", "S3:/b", "gs//bucket", "file:/srv/x", "az:///"])
def test_a_mistyped_url_is_no_folder(url: str) -> None:
    with pytest.raises(StoreNotFound, match="://"):
        open_store(url)


def test_a_folder_may_be_called_as_a_scheme_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("s3/store").url == str(tmp_path / "s3/store")


def test_a_secret_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(StoreDenied) as caught:
        open_store("s3://me:hunter2@bucket/x")
    assert "hunter2" not in str(caught.value)


def test_a_path_that_delta_cannot_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="may not hold '%'"):
        open_store(str(tmp_path / "a%20b"))


def test_az_is_another_name_of_abfs(azure) -> None:
    url = azure.make_bucket(f"named-{uuid.uuid4().hex[:8]}")
    store = open_store(url.replace("abfs://", "az://") + "/shop")
    assert store.url == f"{url}/shop"
    with pytest.raises(StoreNotFound, match=r"write abfs://container/prefix; the account comes from the environment"):
        open_store("abfs://container@account.dfs.core.windows.net/shop")


@pytest.mark.parametrize("boundary", [b"--==0==", b"\n--==0==--\n", b"\r\n--==0==\r\n\r\n"])
def test_no_bytes_end_an_upload_early(store: ObjectStore, boundary: bytes) -> None:
    """gcsfs puts its uploads between two such lines, always the same: what came after one of them was lost."""
    store.write("a", b"before" + boundary + b"after")
    assert store.read("a") == b"before" + boundary + b"after"


def test_odd_names_are_listed_as_they_were_written(store: ObjectStore) -> None:
    odd = ("lamp 3/ü", "50%", "a+b", "a=b", "~", "Ünï/çödé?#", "x" * 255)
    keys = sorted(f"images/{safe_name(text)}/web" for text in odd)
    for key in keys:
        store.write(key, key.encode())
    assert [entry.key for entry in store.list("images")] == keys
    assert [store.read(key) for key in keys] == [key.encode() for key in keys]
    store.delete(keys)
    assert not any(store.exists(key) for key in keys)
