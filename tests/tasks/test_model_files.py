"""Model files that lie in a store are copied to this machine once, and whole."""

from pathlib import Path
from unittest.mock import patch

import pytest

from catalog_schemas.errors import StoreError
from tasks import model_files
from tasks.model_files import local_file, local_folder
from tasks.storage.objects import ObjectStore

NETWORK = "s3://shop/models/net.onnx"
MODEL = "s3://shop/models/sd"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A folder that stands for the bucket."""

    def opened(url: str, single_writer: bool) -> ObjectStore:
        return ObjectStore(url.replace("s3:/", str(tmp_path / "s3"), 1), single_writer)

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
