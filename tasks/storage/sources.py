"""What a catalog points to: photos and masks, read from where it may point and nowhere else.

A catalog is other people's input. A reference is a path or a URL of an allowed scheme, and must lie in the catalog's
own folder or below one of the configured prefixes, after ".." and symbolic links are followed. Web addresses need a
prefix of their own: see `tasks/storage/web.py`.
"""

import errno
import os
import posixpath
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from unicodedata import normalize

from catalog_schemas.errors import CatalogError, ConfigError, Rejected, StoreDenied
from catalog_schemas.identity import bytes_id
from catalog_schemas.rejection import PASSING, Reason
from configs.schema import CatalogConfig
from tasks.storage.addresses import base_of, forbidden, is_below, is_web, normal, remote_scheme
from tasks.storage.clouds import filesystem
from tasks.storage.faults import ObjectMissing, attempt, translate
from tasks.storage.web import Web

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp")
# Files that often are another's original or copy: of those of one name, the first of these is the photo.
TWIN_SUFFIXES = (".tif", ".tiff", ".avif", ".heic", ".heif", ".hif")
OTHER_SUFFIXES = (".gif", ".bmp")  # no decoder is run on these
_CONNECTING = threading.Lock()
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run before has found at a web address: the server's stamp, and the hash of the bytes."""

    stamp: str
    content: str


class Sources:
    """The photos and masks that one catalog may point to. Safe to share between threads; pickles.

    `seen` is what runs before have found at web addresses: it saves fetching what has not changed. `keep`, if given,
    takes the hash and the bytes of each photo that `content` fetches from there.
    """

    seen: Mapping[str, Seen]
    keep: Callable[[str, bytes], None] | None = None

    def __init__(self, base_uri: str, config: CatalogConfig) -> None:
        """`base_uri` is the catalog file; a URI that ends in "/" and an existing local folder are the base itself.

        Raises CatalogError and ConfigError where that, or a configured prefix, is no place to read from.
        """
        self._forget_connections()
        self.config, self.seen = config, {}
        try:
            self._base = base_of(base_uri)
            if is_web(self._base):
                raise forbidden(base_uri, "is a web address")
        except Rejected:
            raise CatalogError(
                base_uri, ["expected a path, file://, s3://, gs://, az:// or abfs://, got another kind of URL"]
            ) from None
        try:
            self._allowed = (self._base, *(normal(prefix, self._base) for prefix in config.reference_prefixes))
        except Rejected as verdict:
            raise ConfigError(f"catalog.reference_prefixes: {verdict.detail}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "seen": self.seen, "_base": self._base, "_allowed": self._allowed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_connections()

    def _forget_connections(self) -> None:
        self._files: dict[str, Any] = {}
        self._web: Web | None = None
        self._stamps: dict[str, str] = {}
        self._process = os.getpid()

    def resolve(self, reference: str) -> str:
        """The absolute path or URL that a reference means, without "..", links or a trailing slash.

        Raises Rejected(REFERENCE_FORBIDDEN) for all that is not allowed; touches nothing beyond following links.
        """
        uri = normal(reference, self._base)
        if is_below(uri, self._allowed):
            return uri
        if is_web(uri):
            why = "is a web address that no reference_prefixes of the configuration allows; copy the photo, or allow it"
            raise forbidden(reference, why)
        why = (
            "lies outside the catalog's folder; copy it there, name its folder in catalog.reference_prefixes or, where "
            "an import made the catalog, keep the file beside it whose name is the catalog's and .references"
        )
        raise forbidden(reference, why)

    def expand(self, references: tuple[str, ...] | list[str]) -> list[str]:
        """The photos that are meant: a folder stands for its photo files in order of their names, blanks for nothing.

        A HEIC, TIFF or AVIF beside a photo of the same name is the same photo. After the others come those that are
        not, and files of formats that are not read, so that somebody hears of them. Files are not looked at beyond
        this: `read` judges each. Raises Rejected(REFERENCE_FORBIDDEN), StoreError.
        """
        photos: list[str] = []
        for reference in filter(None, (text.strip() for text in references)):
            uri = self.resolve(reference)
            names = self._names(uri)
            if names is None:
                photos.append(uri)
            else:
                photos += [f"{uri}/{name}" for name in _photo_names(names)]
        return photos

    def read(self, uri: str, limit: int) -> bytes:
        """The bytes of a photo or mask, at most `limit` of them.

        Raises Rejected(REFERENCE_MISSING, REFERENCE_TOO_LARGE or REFERENCE_FORBIDDEN, and for a web address whatever
        `Web.fetch` raises); StoreError where the storage failed and another attempt may succeed.
        """
        uri = self.resolve(uri)
        if is_web(uri):
            return self._client().fetch(uri, limit)
        if remote_scheme(uri):
            return self._read_remote(uri, limit)
        with _local(uri) as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit + 1) if size <= limit else b""
        if size > limit or len(data) > limit:
            raise _too_large(uri, max(size, len(data)), limit)
        return data

    def stamp(self, uri: str) -> str:
        """A cheap fingerprint of a file: another one where the bytes may have changed. Raises like `read`.

        A web server that fails just now says nothing about a photo that was there before: its stamp stays.
        """
        uri = self.resolve(uri)
        if is_web(uri):
            return self._web_stamp(uri)
        if not remote_scheme(uri):
            with _local(uri) as file:
                status = os.fstat(file.fileno())
            return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
        info = self._info(uri)
        version = next((info[name] for name in ("ETag", "etag", "md5Hash", "last_modified") if info.get(name)), "")
        return f"{info['size']}-{version}".replace('"', "")

    def content(self, uri: str) -> tuple[str, str]:
        """The hash of a file's bytes, and of a web address its stamp; raises like `read`.

        What a web server calls unchanged is not fetched.
        """
        uri, limit = self.resolve(uri), self.config.reference_bytes_maximum
        if not is_web(uri):
            return bytes_id(self.read(uri, limit)), ""
        stamp, seen = self._web_stamp(uri), self.seen.get(uri)
        if seen is not None and seen.stamp == stamp:
            return seen.content, stamp
        data = self._client().fetch(uri, limit)
        content = bytes_id(data)
        if self.keep is not None:
            self.keep(content, data)
        return content, stamp

    def _web_stamp(self, uri: str) -> str:
        if uri not in self._stamps:
            try:
                stamp = self._client().stamp(uri)
                self._stamps[uri] = stamp or bytes_id(self.read(uri, self.config.reference_bytes_maximum))
            except Rejected as verdict:
                seen = self.seen.get(uri)
                if verdict.reason not in PASSING or seen is None:
                    raise
                self._stamps[uri] = seen.stamp
        return self._stamps[uri]

    def _client(self) -> Web:
        with _CONNECTING:
            self._own_process()
            if self._web is None:
                self._web = Web(tuple(prefix for prefix in self._allowed if is_web(prefix)), self.config.web)
            return self._web

    def _read_remote(self, uri: str, limit: int) -> bytes:
        size = self._info(uri)["size"]
        if size > limit:
            raise _too_large(uri, size, limit)
        if size == 0:
            return b""  # a byte range of an empty object is an error to S3
        try:
            data: bytes = attempt(lambda: self._driver(uri).cat_file(uri, start=0, end=size), uri)
        except ObjectMissing:
            raise _missing(uri) from None
        return data

    def _info(self, uri: str) -> dict[str, Any]:
        try:
            info: dict[str, Any] = attempt(lambda: self._driver(uri).info(uri), uri)
        except ObjectMissing:
            raise _missing(uri) from None
        if info["type"] != "file":
            raise _missing(uri)
        return info

    def _names(self, uri: str) -> list[str] | None:
        """The names in a folder; None for anything else."""
        if not remote_scheme(uri):
            if not os.path.isdir(uri):  # noqa: PTH112  (paths here are text: a Path would lose what was written)
                return None
            try:
                return [_as_text(name) for name in attempt(lambda: os.listdir(uri), uri, ())]  # noqa: PTH208
            except (ObjectMissing, StoreDenied):  # it went meanwhile, or is not for us: `read` will say so
                return None
        if is_web(uri) or uri.lower().endswith(PHOTO_SUFFIXES + TWIN_SUFFIXES):
            return None
        try:
            entries = attempt(lambda: self._driver(uri).ls(uri, detail=True), uri)
        except ObjectMissing:
            return None
        found = {entry["name"].rstrip("/"): entry["type"] for entry in entries}
        path = uri.partition("://")[2]
        if found.get(path) == "file":
            return None
        return [name.rpartition("/")[2] for name, kind in found.items() if kind == "file"]

    def _driver(self, uri: str) -> Any:
        self._own_process()
        scheme = remote_scheme(uri)
        if scheme not in self._files:
            self._files[scheme] = filesystem(scheme)
        return self._files[scheme]

    def _own_process(self) -> None:
        """Connections do not outlive a fork."""
        if self._process != os.getpid():
            self._forget_connections()


def _as_text(name: str) -> str:
    """A file's name with U+FFFD in the place of bytes that are no UTF-8, which tables could not hold."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _photo_names(names: list[str]) -> list[str]:
    """Photos first, then one file of each name that has none; none that is hidden."""
    shown = sorted(name for name in names if not name.startswith("."))  # macOS zips "._a.jpg" beside each a.jpg
    photos = [name for name in shown if name.lower().endswith(PHOTO_SUFFIXES)]
    taken, others = {_stem(name) for name in photos}, list[str]()
    for suffix in (*TWIN_SUFFIXES, *OTHER_SUFFIXES):
        alone = [name for name in shown if name.lower().endswith(suffix) and _stem(name) not in taken]
        taken.update(map(_stem, alone))
        others += alone
    return photos + sorted(others)


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0].lower()


@contextmanager
def _local(path: str) -> Iterator[BinaryIO]:
    """A regular file, opened without following a link that was put there meanwhile and without waiting for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _MISSING:
            odd = "its name holds bytes that are no UTF-8, so rename it" if "\ufffd" in path else ""
            raise _missing(path, odd or _written_otherwise(path) or os.strerror(error.errno)) from None
        raise translate(error, path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _missing(path, "not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield file
        except OSError as error:
            raise translate(error, path) from None


def _written_otherwise(path: str) -> str:
    """What lies in place of a missing file under a name that Windows, which knows no case, or a person, who sees no
    difference in Unicode's forms, takes for the same; empty where nothing does."""
    folder, name = posixpath.split(path)
    stem, ending = posixpath.splitext(name)
    said = {f"{stem}{one}": f"there is {stem}{one}" for one in (ending.lower(), ending.upper())}
    forms: tuple[Literal["NFC", "NFD"], ...] = "NFC", "NFD"
    said |= {
        normalize(one, name): f"there is one with its accents written otherwise, in {one}: rename it" for one in forms
    }
    return next((why for one, why in said.items() if one != name and os.path.lexists(f"{folder}/{one}")), "")


def _missing(uri: str, what: str = "no such object") -> Rejected:
    return Rejected(Reason.REFERENCE_MISSING, f"{uri}: expected a photo, found none ({what}); correct the catalog")


def _too_large(uri: str, size: int, limit: int) -> Rejected:
    return Rejected(Reason.REFERENCE_TOO_LARGE, f"{uri}: expected at most {limit} bytes, got {size}; shrink the photo")
