"""The live images as a folder of files, which each export brings up to date."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from tasks.replacing import replacing
from tasks.storage.keys import is_key
from tasks.storage.objects import ObjectStore

LIST = ".packshot-export"  # names what exports have written, a file a line
IMAGES = "images/"


def write_tree(store: ObjectStore, keys: Collection[str], to: Path, channel: str) -> int:
    """Makes <to>/<sku>/<channel>/<name> of images/<sku>/<channel>/<name>, and deletes what earlier exports wrote there
    and none of `keys` asks for, in `channel` or, where it is empty, in all. Returns how many files it deleted.

    What lies there already is not read again: a key says what its bytes are. Other files than its own are let be. If it
    is killed, the next one goes on. Raises OSError and StoreError.
    """
    wanted = {key.removeprefix(IMAGES) for key in keys}
    written = _listed(to)
    kept = {name for name in written if channel and name.split("/")[1] != channel}
    _list(to, written | wanted)  # first, so that a killed one's files are known
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
    _list(to, wanted | kept)
    return len(stale)


def _listed(to: Path) -> set[str]:
    """What exports have written there; a line that names no image of a store is none of theirs."""
    try:
        lines = (to / LIST).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    return {line for line in lines if is_key(line) and line.count("/") == 2}


def _list(to: Path, names: Collection[str]) -> None:
    with replacing(to / LIST) as fresh:
        fresh.write_text("".join(f"{name}\n" for name in sorted(names)), encoding="utf-8")
