"""Objects as files of a local folder. Raises OSError as it comes; `objects.py` translates."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from tasks.storage.info import ObjectInfo
from tasks.storage.keys import TEMPORARY, is_unfinished


class Disk:
    """A folder. A file appears under its final name whole and on the disk, or not at all.

    `flush` and `put_in_place` are the two steps that this rests on; tests replace them to see what a power cut does.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def probe(self) -> None:
        """Raises OSError unless the root is a folder that may be written, or can become one."""
        ancestor = self.root
        while not ancestor.exists():
            ancestor = ancestor.parent
        if not ancestor.is_dir():
            raise NotADirectoryError(str(ancestor))
        if not os.access(ancestor, os.W_OK | os.X_OK):
            raise PermissionError(str(ancestor))

    def write(self, key: str, data: bytes) -> None:
        """Replaces whatever has the key."""
        path = self.root / key
        temporary = self._temporary(path, data)
        try:
            self.put_in_place(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self._sync_folder(path.parent)

    def create(self, key: str, data: bytes, token: str) -> bool:
        """Writes unless the key is taken; False if it is. A hard link is the one atomic create-with-content."""
        path = self.root / key
        temporary = self._temporary(path, data)
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        self._sync_folder(path.parent)
        return True

    def read(self, key: str) -> bytes:
        """All bytes."""
        return (self.root / key).read_bytes()

    def open(self, key: str) -> pa.NativeFile:
        """A file to read parts of, by Arrow without Python in between."""
        return pa.OSFile(str(self.root / key))

    def exists(self, key: str) -> bool:
        """Whether a file has this key."""
        return (self.root / key).is_file()

    def list(self, prefix: str, unfinished: bool = False) -> Iterator[ObjectInfo]:
        """The files below the folder `prefix`, in order of their keys: the finished ones, or the unfinished."""
        try:
            entries = sorted(os.scandir(self.root / prefix), key=_place)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            key = f"{prefix}/{entry.name}" if prefix else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self.list(key, unfinished)
            elif is_unfinished(entry.name) == unfinished:
                with suppress(FileNotFoundError):  # deleted meanwhile
                    status = entry.stat()
                    yield ObjectInfo(key, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))

    def sync(self, key: str) -> None:
        """Puts a file that somebody else wrote on the disk, under its name, with the folders that lead to it."""
        path = self.root / key
        with path.open("rb") as file:
            self.flush(file.fileno())
        for folder in path.parents:
            self._sync_folder(folder)
            if folder == self.root:
                return

    def delete(self, keys: Sequence[str]) -> None:
        """Removes files; those that are not there are fine."""
        for key in keys:
            (self.root / key).unlink(missing_ok=True)

    def _temporary(self, path: Path, data: bytes) -> Path:
        """A file beside `path` whose bytes are on the disk."""
        self._make_folder(path.parent)
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                self.flush(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def flush(self, descriptor: int) -> None:
        """Returns once the disk has what the open file or folder holds."""
        os.fsync(descriptor)

    def put_in_place(self, temporary: Path, path: Path) -> None:
        """Gives a finished file its name, at once and in place of what had it."""
        temporary.replace(path)

    def _make_folder(self, folder: Path) -> None:
        """Like mkdir -p, with each new name on the disk before anything is put below it."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        self._sync_folder(folder.parent)

    def _sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            self.flush(descriptor)
        finally:
            os.close(descriptor)


def _place(entry: os.DirEntry[str]) -> str:
    """Where an entry comes in a listing, so that a disk and a bucket list in one order: that of whole keys."""
    return f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name
