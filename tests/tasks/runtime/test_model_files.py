"""Model files that lie in a store or on the hub are copied to this machine once, and whole."""

import hashlib
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from catalog_schemas.errors import ModelError, StoreError
from tasks.runtime import model_files
from tasks.runtime.model_files import hash_file, local_file, local_folder
from tasks.storage.objects import ObjectStore

NETWORK = "s3://shop/models/net.onnx"
MODEL = "s3://shop/models/sd"
COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A folder that stands for the bucket."""

    def opened(url: str) -> ObjectStore:
        return ObjectStore(url.replace("s3:/", str(tmp_path / "s3"), 1))

    monkeypatch.setattr(model_files, "open_store", opened)
    store = ObjectStore(str(tmp_path / "s3" / "shop" / "models"))
    store.write("net.onnx", b"network")
    store.write("sd/unet/config.json", b"{}")
    return store


def test_a_file_is_fetched_once(shop: ObjectStore, tmp_path: Path) -> None:
    first = local_file(NETWORK, tmp_path / "cache", "model.segmenter.source", "a network")
    assert (first.name, first.read_bytes()) == ("net.onnx", b"network")
    shop.delete(["net.onnx"])
    assert local_file(NETWORK, tmp_path / "cache", "model.segmenter.source", "a network") == first
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [first], (
        "and leaves nothing beside it"
    )


def test_a_file_that_the_store_has_not_is_told(shop: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.onnx"):
        local_file("s3://shop/models/none.onnx", tmp_path / "cache", "model.segmenter.source", "a network")


def test_two_that_fetch_a_model_at_once_both_have_it(shop: ObjectStore, tmp_path: Path) -> None:
    fetch = ObjectStore.fetch_folder

    def with_a_rival(store: ObjectStore, prefix: str, local: Path) -> None:
        fetch(store, prefix, local)
        with patch.object(ObjectStore, "fetch_folder", fetch):
            assert local_folder(MODEL, tmp_path / "cache") is not None

    with patch.object(ObjectStore, "fetch_folder", with_a_rival):
        folder = local_folder(MODEL, tmp_path / "cache")
    assert folder is not None
    assert (folder / "unet" / "config.json").read_bytes() == b"{}"
    assert list((tmp_path / "cache").iterdir()) == [folder]


def test_a_file_of_the_hub_is_asked_for_by_its_commit(tmp_path: Path) -> None:
    with patch("tasks.engine.hub.hf_hub_download", return_value=str(tmp_path / "net.onnx")) as asked:
        found = local_file(f"someone/net.v2@{COMMIT}/onnx/net.onnx", tmp_path, "model.segmenter.source", "a network")
    asked.assert_called_once_with("someone/net.v2", "onnx/net.onnx", revision=COMMIT)
    assert found == tmp_path / "net.onnx"


def test_a_hub_that_cannot_be_asked_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"could not be fetched from the hub: .* point model\.segmenter\.source at"):
        local_file(f"someone/net@{COMMIT}/net.onnx", tmp_path, "model.segmenter.source", "a network")


@pytest.mark.parametrize("source", ["someone/net/net.onnx", "someone/net@main/net.onnx", f"someone/net@{COMMIT}"])
def test_a_file_of_the_hub_without_its_commit_or_name_is_told(tmp_path: Path, source: str) -> None:
    with pytest.raises(ModelError, match=r"expected a network, but there is none; .* id@revision/name"):
        local_file(source, tmp_path, "model.segmenter.source", "a network")


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, and has long been as it is."""
    monkeypatch.setattr(model_files, "HASHES", tmp_path / "hashes")
    monkeypatch.setattr(model_files, "LARGE", 4)
    monkeypatch.setattr(model_files, "SETTLED", -1.0)
    (tmp_path / "unet.safetensors").write_bytes(b"weights")
    return tmp_path / "unet.safetensors"


def _reads(path: Path) -> tuple[str, int]:
    """The file's hash, and how many files were read for it."""
    with patch.object(model_files.hashlib, "file_digest", wraps=hashlib.file_digest) as read:
        return hash_file(path), read.call_count


def test_a_large_file_is_hashed_once_and_again_when_it_has_changed(weights: Path) -> None:
    plain, before = hashlib.sha256(b"weights").hexdigest(), weights.stat()
    assert [_reads(weights), _reads(weights)] == [(plain, 1), (plain, 0)]
    weights.write_bytes(b"Weights")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # as cp -p and rsync leave a file
    changed = hashlib.sha256(b"Weights").hexdigest()
    assert [_reads(weights), _reads(weights)] == [(changed, 1), (changed, 0)]
    for kept in (weights.parent / "hashes").iterdir():
        kept.write_text("")
    assert _reads(weights) == (changed, 1), "what is no hash is not believed"


def test_a_file_that_was_just_written_is_read_again(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "SETTLED", 3600.0)
    assert [_reads(weights)[1], _reads(weights)[1]] == [1, 1]


def test_small_files_and_a_home_that_cannot_be_written_do(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "HASHES", weights / "hashes")
    assert [_reads(weights)[1], _reads(weights)[1]] == [1, 1]
    monkeypatch.setattr(model_files, "HASHES", weights.parent / "hashes")
    monkeypatch.setattr(model_files, "LARGE", 8)
    assert [_reads(weights)[1], _reads(weights)[1]] == [1, 1]
    assert not (weights.parent / "hashes").exists()
