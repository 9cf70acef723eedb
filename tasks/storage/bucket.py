"""Objects of a bucket, through fsspec. Raises the driver's errors as they come; `objects.py` translates."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import fsspec

from tasks.storage.faults import code_of
from tasks.storage.info import ObjectInfo

SCHEMES = ("s3", "gs", "abfs")
_WRITER = "packshot-writer"  # S3 metadata that tells our own object from another writer's


def filesystem(scheme: str) -> Any:
    """A new fsspec filesystem with its credentials from the environment, no caches and bounded waits.

    Attempts are counted in one place, `faults.attempt`: three layers of retries would multiply to minutes.
    """
    if scheme != "s3":
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)
    network = {"connect_timeout": 5, "read_timeout": 20, "retries": {"total_max_attempts": 1}}
    made = fsspec.filesystem("s3", config_kwargs=network, use_listings_cache=False, skip_instance_cache=True)
    made.retries = 1
    return made


class Bucket:
    """A bucket, or a prefix of one. S3 and its kin show an object whole or not at all."""

    def __init__(self, scheme: str, root: str) -> None:
        self.scheme = scheme
        self.root = root
        self._filesystem: Any = None
        self._process = -1

    @property
    def files(self) -> Any:
        """The filesystem; a forked process makes its own, since connections and their thread do not survive a fork."""
        if self._process != os.getpid():
            self._filesystem, self._process = filesystem(self.scheme), os.getpid()
        return self._filesystem

    def probe(self) -> None:
        """Raises FileNotFoundError where there is no such bucket. Never makes one."""
        self.files.info(self.root.partition("/")[0])

    def write(self, key: str, data: bytes) -> None:
        """Replaces whatever has the key, in one request or one completed upload."""
        self.files.pipe_file(self._path(key), data)

    def create(self, key: str, data: bytes, token: str) -> bool:
        """Writes unless the key is taken; False if it is.

        A reply may get lost, and then the next attempt, which the HTTP client too may make by itself, finds our own
        object. `token` is the same for all attempts of one call and settles whose it is.
        """
        mark: dict[str, Any] = {"Metadata": {_WRITER: token}} if self.scheme == "s3" else {}
        try:
            self.files.pipe_file(self._path(key), data, mode="create", **mark)
            return True
        except OSError as error:
            if not isinstance(error, FileExistsError) and code_of(error) not in ("PreconditionFailed", "412"):
                raise
        return bool(mark) and self.files.metadata(self._path(key)).get(_WRITER) == token

    def read(self, key: str) -> bytes:
        """All bytes."""
        data: bytes = self.files.cat_file(self._path(key))
        return data

    def open(self, key: str) -> Any:
        """A file to read parts of, in requests of a megabyte or what is asked for."""
        return self.files.open(self._path(key), "rb", block_size=2**20)

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        try:
            return bool(self.files.info(self._path(key))["type"] == "file")
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            return False

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects below `prefix`, in order of their keys."""
        found = self.files.find(self._path(prefix) if prefix else self.root, detail=True)
        for path in sorted(found):
            entry = found[path]
            yield ObjectInfo(path[len(self.root) + 1 :], entry["size"], modified_at(entry))

    def delete(self, keys: Sequence[str]) -> None:
        """Removes objects; those that are not there are fine."""
        try:
            self.files.rm([self._path(key) for key in keys])
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            for key in filter(self.exists, keys):
                self.files.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}"


def modified_at(entry: dict[str, Any]) -> datetime:
    """When a listed object was last written: each driver has its own name for it."""
    when = next(
        (entry[name] for name in ("LastModified", "last_modified", "updated", "mtime") if entry.get(name)), None
    )
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return when.astimezone(UTC) if isinstance(when, datetime) else datetime.fromtimestamp(0, UTC)
