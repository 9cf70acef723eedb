"""A folder of live images stays as the store is, whatever was exported there before."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from catalog_schemas.errors import ConfigError
from tasks.exporting.tree import LIST, write_tree
from tasks.storage.objects import ObjectStore

MUG, VASE, ETSY = "mug/web/a-000000000001.webp", "vase/web/b-000000000002.webp", "mug/etsy/a-000000000003.webp"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    made = ObjectStore(str(tmp_path / "store"))
    for name in (MUG, VASE, ETSY):
        made.write(f"images/{name}", name.encode())
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "tree"


def _export(store: ObjectStore, to: Path, names: Iterable[str], channel: str = "") -> int:
    return write_tree(store, [f"images/{name}" for name in names], to, channel)


def _files(tree: Path) -> dict[str, str]:
    return {str(file.relative_to(tree)): file.read_text() for file in tree.rglob("*") if file.is_file()}


def test_what_is_no_longer_live_is_deleted_with_its_folders_and_nothing_else_is(store: ObjectStore, tree: Path) -> None:
    assert _export(store, tree, [MUG, VASE, ETSY]) == 0
    (tree / "mug" / "web" / "notes.txt").write_text("mine")
    (tree / "mug" / "mine-000000000009.webp").write_text("mine, too")
    assert _export(store, tree, [ETSY]) == 2
    assert _files(tree) == {
        LIST: f"{store.url}\n{ETSY}\n",
        ETSY: ETSY,
        "mug/web/notes.txt": "mine",
        "mug/mine-000000000009.webp": "mine, too",
    }
    assert not (tree / "vase").exists()


def test_what_is_there_is_not_read_again_and_what_was_deleted_by_hand_is(store: ObjectStore, tree: Path) -> None:
    _export(store, tree, [MUG, VASE])
    store.delete([f"images/{MUG}"])
    (tree / VASE).unlink()
    assert _export(store, tree, [MUG, VASE]) == 0
    assert (tree / MUG).read_text() == MUG
    assert (tree / VASE).read_text() == VASE


def test_an_export_of_one_channel_leaves_the_others(store: ObjectStore, tree: Path) -> None:
    _export(store, tree, [MUG, VASE, ETSY])
    assert _export(store, tree, [MUG], "web") == 1
    assert _files(tree).keys() == {LIST, MUG, ETSY}
    assert _export(store, tree, [VASE]) == 2, "and one of all channels knows them"
    assert _files(tree).keys() == {LIST, VASE}


def test_a_file_of_that_name_that_no_export_has_written_is_replaced(store: ObjectStore, tree: Path) -> None:
    (tree / MUG).parent.mkdir(parents=True)
    (tree / MUG).write_text("half of i")
    _export(store, tree, [MUG])
    assert (tree / MUG).read_text() == MUG


def test_one_that_was_killed_leaves_no_half_file_and_the_next_goes_on(
    store: ObjectStore, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _export(store, tree, [ETSY])
    read = store.read
    monkeypatch.setattr(store, "read", lambda key: read(key) if "mug" in key else pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        _export(store, tree, [MUG, VASE])
    assert _files(tree).keys() == {LIST, ETSY, MUG}
    monkeypatch.undo()
    assert _export(store, tree, [VASE]) == 2
    assert _files(tree) == {LIST: f"{store.url}\n{VASE}\n", VASE: VASE}


@pytest.mark.parametrize(
    "line", ["../../store/images/" + MUG, "/etc/passwd/x", "../secret.txt", "a/../b", "", "a", "\0"]
)
def test_a_list_that_was_tampered_with_deletes_nothing_outside(store: ObjectStore, tree: Path, line: str) -> None:
    tree.mkdir(parents=True)
    (tree.parent / "secret.txt").write_text("kept")
    (tree / LIST).write_text(f"{store.url}\n{line}\n{VASE}\n")
    assert _export(store, tree, [MUG]) == 0, "nor is there a vase"
    assert (tree.parent / "secret.txt").read_text() == "kept"
    assert store.read(f"images/{MUG}") == MUG.encode()
    assert _files(tree).keys() == {LIST, MUG}


def test_a_folder_that_holds_another_stores_files_is_refused_and_left_as_it_is(
    store: ObjectStore, tree: Path, tmp_path: Path
) -> None:
    _export(store, tree, [MUG, VASE])
    before = _files(tree)
    with pytest.raises(ConfigError, match=f"an export of {store.url} lies there"):
        write_tree(ObjectStore(str(tmp_path / "other")), [], tree, "")
    assert _files(tree) == before


@pytest.mark.parametrize("place", ["images", "images/mug", ".", "../store/images"])
def test_the_store_itself_is_no_place_for_an_export_which_would_delete_its_files_later(
    store: ObjectStore, place: str
) -> None:
    folder = Path(store.url) / place
    before = _files(Path(store.url))
    with pytest.raises(ConfigError, match="lies in the store"):
        _export(store, folder, [MUG, VASE])
    assert _files(Path(store.url)) == before
