"""The store: whole objects under keys, on a disk or in a bucket, the same to every stage."""

import os
import re
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from catalog_schemas.errors import StoreDenied, StoreError, StoreNotFound
from tasks.storage.bucket import Bucket
from tasks.storage.clouds import SCHEMES, bucket
from tasks.storage.disk import Disk
from tasks.storage.faults import PAUSES, ObjectMissing, attempt
from tasks.storage.info import ObjectInfo
from tasks.storage.keys import check_key, is_unfinished, safe_name

__all__ = ["ObjectInfo", "ObjectMissing", "ObjectStore", "open_store", "safe_name"]

Result = TypeVar("Result")

_MISTYPED = re.compile(rf"({'|'.join((*SCHEMES, 'file'))})(:(?!//)|//)", re.IGNORECASE)  # s3:/bucket, s3//bucket
PROBE = "probe"  # the folder of the objects that `probe_conditional_writes` makes and removes
_DELETE_AT_ONCE = 1000
PIECE = 2**26  # bytes of an object that are fetched at once


def open_store(url: str, single_writer: bool = False) -> "ObjectStore":
    """The store at `url`: a plain path, file://, s3://, gs://, az:// or abfs://, found usable.

    A bucket must exist and answer; a folder must be writable, or creatable by the first write. Credentials come from
    the environment. `single_writer` promises that one run at a time writes, and so admits a bucket whose server
    ignores conditional writes. Raises StoreError.
    """
    store = ObjectStore(url, single_writer)
    store.probe()
    return store


class ObjectStore:
    """A store root. Safe to share between threads; pickles as its URL; every method raises StoreError.

    A key is checked by `keys.check_key`. What has a key is whole, whoever was killed while writing.
    """

    def __init__(self, url: str, single_writer: bool = False) -> None:
        self.single_writer = single_writer
        self._driver = _driver(url)
        self._conditional = single_writer or isinstance(self._driver, Disk)  # a hard link never replaces
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["ObjectStore"], tuple[str, bool]]:
        return ObjectStore, (self.url, self.single_writer)

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    @property
    def url(self) -> str:
        """The root: an absolute path, or scheme://bucket/prefix without a slash at its end."""
        if isinstance(self._driver, Disk):
            return str(self._driver.root)
        return f"{self._driver.scheme}://{self._driver.root}"

    def uri(self, key: str) -> str:
        """The absolute path or URL of a key."""
        return f"{self.url}/{check_key(key)}"

    def local_path(self, key: str) -> Path | None:
        """Where the key's file is or would be; None in a bucket."""
        return self._driver.root / check_key(key) if isinstance(self._driver, Disk) else None

    @property
    def delta_options(self) -> dict[str, str]:
        """What a Delta reader is to be given as storage options. Holds secrets: not to be shown or kept."""
        return {} if isinstance(self._driver, Disk) else self._driver.delta_options()

    def probe(self) -> None:
        """Raises StoreNotFound, StoreDenied or StoreUnreachable unless the store can be used."""
        try:
            attempt(self._driver.probe, self.url, self._pauses)
        except ObjectMissing:
            what = "folder" if isinstance(self._driver, Disk) else "bucket"
            raise StoreNotFound(f"{self.url}: there is no such {what}; check the name, or create it") from None

    def probe_conditional_writes(self) -> None:
        """Raises StoreError where two writers could both create one key; tries it once per store."""
        with self._lock:
            if self._conditional:
                return
            key = f"{PROBE}/{uuid.uuid4().hex}"
            answers = [self._create(key, text) for text in (b"first", b"second")]
            self.delete([key])
            if answers != [True, False]:
                raise StoreError(
                    f"{self.url}: the store ignores conditional writes, so two runs could overwrite each other; "
                    "use a server that honours If-None-Match, or, if one run at a time writes, set "
                    "store.single_writer: true in the configuration"
                )
            self._conditional = True

    def write(self, key: str, data: bytes) -> None:
        """Puts `data` under `key`, whole and durable; replaces what was there. Doing it twice is doing it once."""
        uri = self.uri(key)
        attempt(lambda: self._driver.write(key, data), uri, self._pauses)

    def create(self, key: str, data: bytes) -> bool:
        """Puts `data` under `key` unless something is there: True for exactly one of any number of callers.

        A caller whose reply was lost still gets its True. A caller that is to find its own object again after a kill
        puts something of its own into `data`.
        """
        self.uri(key)
        self.probe_conditional_writes()
        if self.single_writer:
            if self.exists(key):
                return False
            self.write(key, data)
            return True
        return self._create(key, data)

    def _create(self, key: str, data: bytes) -> bool:
        token = uuid.uuid4().hex
        return attempt(lambda: self._driver.create(key, data, token), self.uri(key), self._pauses)

    def read(self, key: str) -> bytes:
        """All bytes. Raises ObjectMissing where there are none."""
        uri = self.uri(key)
        return attempt(lambda: self._driver.read(key), uri, self._pauses)

    def open(self, key: str) -> Any:
        """A seekable binary file to read parts of a large object; its own reads raise the driver's errors."""
        uri = self.uri(key)
        return attempt(lambda: self._driver.open(key), uri, self._pauses)

    def commit(self, key: str, call: Callable[[], Result]) -> Result:
        """What another library writes in place under `key`, such as a Delta commit: one attempt, made durable.

        Where the call is beaten by another writer the object that is there is made durable, whoever wrote it.
        """
        result = attempt(call, self.uri(key), ())
        if isinstance(disk := self._driver, Disk):
            attempt(lambda: disk.sync(key), self.uri(key), ())
        return result

    def exists(self, key: str) -> bool:
        """Whether an object has this key."""
        uri = self.uri(key)
        return attempt(lambda: self._driver.exists(key), uri, self._pauses)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object below the folder `prefix` ("images", not "images/" or "ima"), in order; none if it is absent."""
        where = self.uri(prefix) if prefix else self.url
        if isinstance(self._driver, Disk):
            yield from _translated(self._driver.list(prefix), where)
            return
        yield from attempt(lambda: list(self._driver.list(prefix)), where, self._pauses)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; those that are not there are fine."""
        doomed = [check_key(key) for key in keys]
        for start in range(0, len(doomed), _DELETE_AT_ONCE):
            batch = doomed[start : start + _DELETE_AT_ONCE]
            attempt(lambda batch=batch: self._driver.delete(batch), self.url, self._pauses)  # type: ignore[misc]

    def unfinished(self) -> Iterator[ObjectInfo]:
        """Files that are being written, or were when their writer was killed. None in a bucket, which hides them."""
        if isinstance(disk := self._driver, Disk):
            yield from _translated(disk.list("", unfinished=True), self.url)

    def delete_unfinished(self, names: Iterable[str]) -> None:
        """Removes files that `unfinished` has named."""
        doomed = list(names)
        assert all(is_unfinished(name.rpartition("/")[2]) for name in doomed)
        attempt(lambda: self._driver.delete(doomed), self.url, ())

    def fetch_folder(self, prefix: str, local: Path) -> None:
        """Copies every object below `prefix`, "" for all, into the folder `local`. Raises ObjectMissing for none."""
        found = list(self.list(prefix))
        if not found:
            where = self.uri(prefix) if prefix else self.url
            raise ObjectMissing(f"{where}: expected a folder with files, found none; check the name")
        for entry in found:
            name = check_key(entry.key[len(prefix) :].removeprefix("/"))  # a key of another writer's could hold ".."
            self._copy(entry, local / name)

    def _copy(self, entry: ObjectInfo, file: Path) -> None:
        """An object in pieces: weights are larger than some machines' memory, and a fault costs one piece."""
        source = self.open(entry.key)

        def read(start: int) -> bytes:
            source.seek(start)
            return bytes(source.read(min(PIECE, entry.size - start)))

        attempt(lambda: file.parent.mkdir(parents=True, exist_ok=True), str(file), ())
        with source, attempt(lambda: file.open("wb"), str(file), ()) as copy:
            for start in range(0, entry.size, PIECE):
                piece = attempt(lambda start=start: read(start), self.uri(entry.key), self._pauses)  # type: ignore[misc]
                attempt(lambda piece=piece: copy.write(piece), str(file), ())  # type: ignore[misc]
            attempt(copy.flush, str(file), ())
            attempt(lambda: os.fsync(copy.fileno()), str(file), ())

    @property
    def _pauses(self) -> tuple[float, ...]:
        return () if isinstance(self._driver, Disk) else PAUSES


def _driver(url: str) -> Disk | Bucket:
    scheme, separator, rest = url.partition("://")
    if _MISTYPED.match(url):
        raise StoreNotFound(f"{url}: expected a path, or a URL with ://, such as s3://bucket/prefix")
    if not separator or scheme == "file":
        folder = Path(rest if separator else url).absolute()
        if "%" in str(folder):
            raise StoreError(f"{folder}: the path of a store may not hold '%', which Delta readers decode; rename it")
        return Disk(folder)
    if scheme not in SCHEMES:
        raise StoreNotFound(
            f"{scheme}://…: not a kind of store; expected a path, file://, s3://, gs://, az:// or abfs://"
        )
    root = rest.rstrip("/")
    name, _, prefix = root.partition("/")
    if ":" in name:
        raise StoreDenied(f"{scheme}://…: credentials do not belong in a URL; give them in the environment")
    if "@" in name:
        raise StoreNotFound(f"{scheme}://…: write {scheme}://container/prefix; the account comes from the environment")
    if not name:
        raise StoreNotFound(f"{url}: expected a bucket in the URL, found none; write {scheme}://bucket/prefix")
    if prefix:
        check_key(prefix)
    return attempt(lambda: bucket(scheme, root), url, ())


def _translated(entries: Iterator[ObjectInfo], uri: str) -> Iterator[ObjectInfo]:
    while True:
        entry = attempt(lambda: next(entries, None), uri, ())
        if entry is None:
            return
        yield entry
