"""Objects of a bucket, through fsspec. Raises the driver's errors as they come; `objects.py` translates.

`s3.py`, `google.py` and `azure.py` hold what each kind of bucket does in its own way; `clouds.py` picks by scheme.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from fsspec.spec import AbstractBufferedFile

from tasks.storage.info import ObjectInfo

CONNECT_SECONDS = 5
READ_SECONDS = 20
PART_BYTES = 2**20  # of a file that is read in parts
WRITER = "packshot-writer"  # metadata that tells our own object from another writer's


class NoSuchBucket(Exception):
    """A driver says only "not found", and it is the bucket that is not there."""


class RangedFile(AbstractBufferedFile):
    """An object read in ranges. The drivers' own files fetch ahead, or open a client with retries of its own."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        assert self.mode == "rb", "what is written is written whole"
        data: bytes = self.fs.cat_file(self.path, start, end)
        return data


class Bucket(ABC):
    """A bucket, or a prefix of one. The clouds show an object whole or not at all."""

    def __init__(self, scheme: str, root: str) -> None:
        self.scheme = scheme
        self.root = root
        self.name, _, self.prefix = root.partition("/")
        self._filesystem: Any = None
        self._process = -1

    @abstractmethod
    def connect(self) -> Any:
        """A new fsspec filesystem with its credentials from the environment, no caches and bounded waits.

        Attempts are counted in one place, `faults.attempt`: three layers of retries would multiply to minutes.
        """

    def delta_options(self) -> dict[str, str]:
        """What the Delta driver is to be told beside the credentials, which it takes from the environment as well."""
        return {"max_retries": "2", "retry_timeout": "15s", "timeout": "60s", "connect_timeout": f"{CONNECT_SECONDS}s"}

    @property
    def files(self) -> Any:
        """The filesystem; a forked process makes its own, since connections and their thread do not survive a fork."""
        if self._process != os.getpid():
            self._filesystem, self._process = self.connect(), os.getpid()
        return self._filesystem

    @abstractmethod
    def probe(self) -> None:
        """Raises FileNotFoundError where there is no such bucket. Never makes one."""

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Replaces whatever has the key, in one request or one completed upload."""

    @abstractmethod
    def create(self, key: str, data: bytes, token: str) -> bool:
        """Writes unless the key is taken; False if it is.

        A reply may get lost, and then the next attempt, which the HTTP client too may make by itself, finds our own
        object. `token` is the same for all attempts of one call and settles whose it is.
        """

    def read(self, key: str) -> bytes:
        """All bytes."""
        data: bytes = self.files.cat_file(self._path(key))
        return data

    def open(self, key: str) -> Any:
        """A file to read parts of, in requests of a megabyte or what is asked for."""
        return self.files.open(self._path(key), "rb", block_size=PART_BYTES)

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether an object has this key."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below `prefix`, in order of their keys."""
        found = self.files.find(self._path(prefix) if prefix else self.root, detail=True)
        for path in sorted(found):
            entry = found[path]
            yield ObjectInfo(path[len(self.root) + 1 :], entry["size"], modified_at(entry))

    @abstractmethod
    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; those that are not there are fine."""

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def _inside(self, key: str) -> str:
        """The key as the bucket knows it."""
        return f"{self.prefix}/{key}" if self.prefix else key


def modified_at(entry: dict[str, Any]) -> datetime:
    """When a listed object was last written: each driver has its own name for it."""
    when = next(
        (entry[name] for name in ("LastModified", "last_modified", "updated", "mtime") if entry.get(name)), None
    )
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return when.astimezone(UTC) if isinstance(when, datetime) else datetime.fromtimestamp(0, UTC)
