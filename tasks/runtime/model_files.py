"""A model's files on this machine: as they are named, fetched first where they lie in a store, and hashed.

What has been fetched is never compared with the store again: a new version has a new name.
"""

import hashlib
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from catalog_schemas.errors import ModelError
from catalog_schemas.identity import content_id
from tasks.runtime.replacing import replacing
from tasks.storage.clouds import SCHEMES
from tasks.storage.objects import open_store

_REMOTE = tuple(f"{scheme}://" for scheme in SCHEMES)
HASHES = Path.home() / ".cache" / "packshot" / "hashes"
LARGE = 16_000_000  # bytes of a file whose hash is remembered
SETTLED = 10.0  # seconds without a change: a file that is being written may change again within a clock's tick
_SHA256 = re.compile("[0-9a-f]{64}")
_ON_HUB = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})/(.+)")  # repository, commit and name


def local_file(source: str, models: Path, setting: str, what: str) -> Path:
    """The file on this machine that `source` names, fetched first from a store or the hub.

    Raises ModelError where it is not there, with the `setting` that names it and `what` it is to be, and StoreError.
    """
    if source.startswith(_REMOTE):
        file = models / content_id(source)[:16] / Path(source).name
        if not file.is_file():
            root, _, name = source.rpartition("/")
            data = open_store(root).read(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=models) as folder:
                (Path(folder) / name).write_bytes(data)
                (Path(folder) / name).replace(file)
        return file
    if on_hub := _ON_HUB.fullmatch(source):
        from tasks.engine.hub import download_file

        repository, revision, name = on_hub.groups()
        return download_file(repository, revision, name, setting)
    file = Path(source.removeprefix("file://")).expanduser().absolute()
    if not file.is_file():
        raise ModelError(
            f"{file}: expected {what}, but there is none; point {setting} at a file, a store URL of one, or one on the "
            "hub with its commit: id@revision/name"
        )
    return file


def local_folder(source: str, models: Path) -> Path | None:
    """The folder on this machine that `source` names, fetched first from a store; None where it is a hub id."""
    if source.startswith(_REMOTE):
        return _fetch(source, models)
    folder = Path(source.removeprefix("file://")).expanduser()
    if folder.is_dir() or folder.is_absolute() or source.startswith(("file://", ".", "infra/")):
        return _installed(folder)
    return None


def _installed(folder: Path) -> Path:
    """The folder as given, or beside the installed package: presets name the demo model that way."""
    beside = Path(__file__).parents[2] / folder
    return beside if not folder.exists() and beside.exists() else folder


def _fetch(source: str, models: Path) -> Path:
    """A store's model folder, copied here once; a copy that was cut off never takes the final name."""
    target = models / content_id(source)[:16]
    if not target.is_dir():
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models) as folder:
            open_store(source).fetch_folder("", Path(folder) / "model")
            try:
                (Path(folder) / "model").rename(target)
            except OSError:
                if not target.is_dir():  # else another process was quicker
                    raise
    return target


def hash_files(folder: Path, files: list[Path]) -> str:
    """The hash of a model's files, names and bytes: its weights, its settings and its vocabularies."""
    kept = sorted(path for path in files if path.suffix in (".safetensors", ".json", ".txt"))
    return content_id([[path.relative_to(folder).as_posix(), hash_file(path)] for path in kept])


def hash_file(path: Path) -> str:
    """The sha256 (64 hex digits) of a file of any size; a large one is read once, and again when it has changed.

    Weights take seconds to minutes, at each plan, each night and in each worker. What is remembered goes by the file's
    place, size and times, of which nobody who writes a file can set the last (`st_ctime`).
    """
    now = path.stat()
    if now.st_size < LARGE:
        return _read_hash(path)
    times = now.st_mtime_ns, now.st_ctime_ns
    kept = HASHES / content_id([str(path.resolve()), now.st_dev, now.st_ino, now.st_size, *times])
    with suppress(OSError, ValueError):
        if _SHA256.fullmatch(known := kept.read_text()):
            return known
    settled = time.time() - now.st_ctime > SETTLED
    found = _read_hash(path)
    if settled:
        # a home that cannot be written: then it is read each time
        with suppress(OSError), replacing(kept) as fresh:
            fresh.write_text(found)
    return found


def _read_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
