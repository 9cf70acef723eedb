"""The live images as a folder of files, which each export brings up to date."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from catalog_schemas.errors import ConfigError
from tasks.runtime.replacing import replacing
from tasks.storage.keys import is_key
from tasks.storage.objects import ObjectStore

LIST = ".packshot-export"  # names the store, and what exports of it have written, a file a line
IMAGES = "images/"


def write_tree(store: ObjectStore, keys: Collection[str], to: Path, channel: str) -> int:
    """Makes <to>/<sku>/<channel>/<name> of images/<sku>/<channel>/<name>, and deletes what earlier exports wrote there
    and none of `keys` asks for, in `channel` or, where it is empty, in all. Returns how many files it deleted.

    What lies there already is not read again: a key says what its bytes are. Other files than its own are let be. If it
    is killed, the next one goes on. Raises OSError, StoreError, and ConfigError where `to` holds another store's export
    or lies in the store.
    """
    images = store.local_path("images")
    if images and to.resolve().is_relative_to(images.parent.resolve()):
        raise ConfigError(
            f"--out {to}: lies in the store, whose own files an export would delete; choose another folder"
        )
    wanted = {key.removeprefix(IMAGES) for key in keys}
    whose, written = _listed(to)
    if whose not in ("", store.url):
        raise ConfigError(
            f"--out {to}: an export of {whose} lies there, which this one would delete; choose another folder, or "
            f"delete {LIST} in it if it is the same store at another place"
        )
    kept = {name for name in written if channel and name.split("/")[1] != channel}
    _list(to, store, written | wanted)  # first, so that a killed one's files are known
    for name in sorted(wanted):
        if not (name in written and (to / name).exists()):
            with replacing(to / name) as fresh:
                fresh.write_bytes(store.read(IMAGES + name))
    stale = [name for name in written - wanted - kept if (to / name).exists()]
    for name in stale:
        (to / name).unlink()
        with suppress(OSError):  # something is left in it
            (to / name).parent.rmdir()
            (to / name).parent.parent.rmdir()
    _list(to, store, wanted | kept)
    return len(stale)


def is_exported_to(to: Path) -> bool:
    """Whether an export has written there."""
    return (to / LIST).is_file()


def _listed(to: Path) -> tuple[str, set[str]]:
    """Which store's files exports have written there, and which; a line that names no image is none of theirs."""
    try:
        lines = (to / LIST).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return "", set()
    return "".join(lines[:1]), {line for line in lines[1:] if is_key(line) and line.count("/") == 2}


def _list(to: Path, store: ObjectStore, names: Collection[str]) -> None:
    with replacing(to / LIST) as fresh:
        fresh.write_text("".join(f"{line}\n" for line in (store.url, *sorted(names))), encoding="utf-8")
