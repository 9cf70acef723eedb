"""Stores that tell a test of every operation that changes them, and disks that lose power."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tasks.storage.disk import Disk
from tasks.storage.objects import ObjectInfo, ObjectStore


class Killed(BaseException):
    """The process ends here. No handler of ours catches it."""


@dataclass(frozen=True)
class Operation:
    """One change of a store: write, create, delete or commit; `data` is what is written, `keys` what is touched."""

    kind: str
    keys: tuple[str, ...]
    data: bytes = b""


Hook = Callable[[Operation, Callable[[], Any]], Any]


def pass_on(operation: Operation, call: Callable[[], Any]) -> Any:
    """The hook that does nothing."""
    return call()


class WatchedStore(ObjectStore):
    """A store whose every change passes `hook`, which decides whether and when it happens.

    `changed` lists the keys that they touch.
    """

    def __init__(self, url: str, hook: Hook = pass_on) -> None:
        super().__init__(url)
        self.hook = hook
        self.changed: list[str] = []

    def _tell(self, operation: Operation, call: Callable[[], Any]) -> Any:
        self.changed += operation.keys
        return self.hook(operation, call)

    def write(self, key: str, data: bytes) -> None:
        put = super().write
        self._tell(Operation("write", (key,), data), lambda: put(key, data))

    def create(self, key: str, data: bytes) -> bool:
        put = super().create
        return self._tell(Operation("create", (key,), data), lambda: put(key, data))

    def delete(self, keys: Iterable[str]) -> None:
        listed, remove = tuple(keys), super().delete
        if listed:
            self._tell(Operation("delete", listed), lambda: remove(listed))

    def commit(self, key: str, call: Callable[[], Any]) -> Any:
        made = super().commit
        return self._tell(Operation("commit", (key,)), lambda: made(key, call))


class Clock:
    """A clock that can be put forward; objects keep the age that they have by it."""

    def __init__(self) -> None:
        self.jumps: list[tuple[datetime, timedelta]] = []

    def now(self) -> datetime:
        return self.moment(datetime.now(UTC))

    def moment(self, real: datetime) -> datetime:
        """What this clock showed at a real time."""
        return real + sum((jump for at, jump in self.jumps if at <= real), timedelta())

    def advance(self, by: timedelta) -> None:
        """What was written before has a time before the jump, and what is written after it has not: a file's time is
        that of the kernel's last tick, which on a busy machine is late."""
        asked = datetime.now(UTC)
        while (tick := _time_of_a_file()) <= asked:
            time.sleep(0.001)
        self.jumps.append((tick, by))


def _time_of_a_file() -> datetime:
    """That of one that is written now."""
    with tempfile.TemporaryFile() as file:
        return datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)


class ClockedStore(WatchedStore):
    """A store whose objects were written by a clock that the test holds."""

    def __init__(self, url: str, clock: Clock, hook: Hook = pass_on) -> None:
        super().__init__(url, hook)
        self.clock = clock

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return map(self._dated, super().list(prefix))

    def unfinished(self) -> Iterator[ObjectInfo]:
        return map(self._dated, super().unfinished())

    def _dated(self, info: ObjectInfo) -> ObjectInfo:
        return replace(info, modified=self.clock.moment(info.modified))


class FadingDisk(Disk):
    """A disk that knows which bytes and names a power cut would leave.

    `leave_names` and `leave_flushed` build the two extremes that POSIX allows: every name is there, but only flushed
    files have their bytes; or nothing is there that was not flushed. Real file systems lie in between.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.bytes: dict[int, bytes] = {}
        self.names: dict[Path, dict[str, int]] = {}
        for path in [root, *root.rglob("*")] if root.exists() else []:
            self._keep(path)

    def flush(self, descriptor: int) -> None:
        self._keep(Path(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115

    def _keep(self, path: Path) -> None:
        if path.is_dir():
            self.names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def leave_names(self, to: Path) -> None:
        shutil.copytree(self.root, to)
        for path in self.root.rglob("*"):
            if path.is_file() and self.bytes.get(path.stat().st_ino) != path.read_bytes():
                (to / path.relative_to(self.root)).write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def leave_flushed(self, to: Path) -> None:
        self._restore(self.root, to)

    def _restore(self, folder: Path, to: Path) -> None:
        to.mkdir()
        for name, inode in self.names.get(folder, {}).items():
            if folder / name in self.names or (folder / name).is_dir():
                self._restore(folder / name, to / name)
            else:
                (to / name).write_bytes(self.bytes.get(inode, b""))


def tear(operation: Operation, root: Path) -> None:
    """What an operation on local files leaves where the process is killed in the middle of it."""
    path = root / operation.keys[0]
    if operation.kind == "delete":
        for key in operation.keys[: (len(operation.keys) + 1) // 2]:
            (root / key).unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if operation.kind == "commit":  # the Delta writer stages beside the log and links
        path.with_name(f"{path.name}#1").write_bytes(b'{"commitInfo":{"timest')
    else:
        (path.parent / ".tmp-0123456789").write_bytes(operation.data[: len(operation.data) // 2])


def tear_upload(operation: Operation, store: ObjectStore) -> None:
    """What an operation on S3 leaves: an upload that nobody completes."""
    if operation.kind in ("write", "create"):
        files, path = store._driver.files, f"{store.url.removeprefix('s3://')}/{operation.keys[0]}"
        bucket, _, key = path.partition("/")
        begun = files.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
        half = operation.data[: len(operation.data) // 2]
        files.call_s3(
            "upload_part", Bucket=bucket, Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=half or b"0"
        )
    elif operation.kind == "delete":
        store._driver.delete(operation.keys[: (len(operation.keys) + 1) // 2])
