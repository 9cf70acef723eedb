"""Buckets of Google Cloud Storage, through gcsfs and its JSON API."""

import io
import json
import os
import re
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
from fsspec.asyn import _run_coros_in_chunks, sync
from gcsfs.core import GCSFileSystem
from typing_extensions import override

from tasks.storage.bucket import CONNECT_SECONDS, PART_BYTES, READ_SECONDS, WRITER, Bucket, NoSuchBucket, RangedFile

_DELETE_AT_ONCE = 32
_ASKED = re.compile(r"/b/(?P<bucket>[^/?]+)/o(?:/(?P<object>[^?]+))?")  # by a request: an object, or else the bucket


class GoogleFiles(GCSFileSystem):
    """gcsfs that asks once, says which of bucket and object is missing, and uploads what no text in it can break.

    It is gcsfs's plain class: the one that it shows as its own asks a second, gRPC service about each bucket, which an
    emulator does not have and then waits a minute for.
    """

    async def _request(self, method: str, path: str, *args: Any, **options: Any) -> Any:
        try:
            return await GCSFileSystem._request.__wrapped__(self, method, path, *args, **options)
        except FileNotFoundError:
            asked = _ASKED.search(self._format_path(path, args))
            if asked and not asked["object"]:
                raise NoSuchBucket from None
            if asked and asked["bucket"] not in self.__dict__.setdefault("seen", set()):
                await self.first(unquote(asked["bucket"]))
                self.seen.add(asked["bucket"])
            raise

    async def first(self, bucket: str) -> None:
        """Raises NoSuchBucket where there is none. Listing takes no right beyond that to the bucket's objects."""
        await self._call("GET", "b/{}/o", bucket, maxResults=1)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> RangedFile:
        return RangedFile(self, path, mode, block_size or PART_BYTES)

    async def put(self, bucket: str, key: str, data: bytes, metadata: dict[str, str], create: bool) -> None:
        """Uploads in one request. gcsfs's own `pipe_file` cuts data that holds the boundary that it always uses."""
        boundary = uuid.uuid4().hex
        about = json.dumps({"name": key, "metadata": metadata})
        head = f"--{boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{about}\r\n"
        head += f"--{boundary}\r\nContent-Type: application/octet-stream\r\n\r\n"
        await self._call(
            "POST",
            f"{self._location}/upload/storage/v1/b/{quote(bucket, safe='')}/o",
            uploadType="multipart",
            headers={"Content-Type": f'multipart/related; boundary="{boundary}"'},
            data=io.BytesIO(b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))),
            **({"ifGenerationMatch": "0"} if create else {}),
        )

    async def remove(self, paths: Sequence[str]) -> None:
        """Deletes objects, one request each; those that are not there are fine."""
        ends = await _run_coros_in_chunks(
            [self._rm_file(path) for path in paths], batch_size=_DELETE_AT_ONCE, return_exceptions=True, nofiles=True
        )
        for end in ends:
            if isinstance(end, Exception) and not isinstance(end, FileNotFoundError):
                raise end


def filesystem() -> GoogleFiles:
    """See `Bucket.connect`."""
    emulated = os.environ.get("STORAGE_EMULATOR_HOST")
    return GoogleFiles(
        token="anon" if emulated else "google_default",
        requests_timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
        session_kwargs={"raise_for_status": _refuse},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


async def _refuse(reply: aiohttp.ClientResponse) -> None:
    """Raises with the status, which gcsfs would drop; the two that it tells apart itself are left to it."""
    if reply.status not in (404, 412):
        reply.raise_for_status()


class GoogleBucket(Bucket):
    """See `Bucket`."""

    @override
    def connect(self) -> GoogleFiles:
        return filesystem()

    @override
    def delta_options(self) -> dict[str, str]:
        host = os.environ.get("STORAGE_EMULATOR_HOST", "")
        if not host:
            return super().delta_options()
        url = host if "://" in host else f"http://{host}"
        nobody = {
            "client_email": "",
            "private_key": "",
            "private_key_id": "",
            "disable_oauth": True,
            "gcs_base_url": url,
        }
        return super().delta_options() | {
            "google_service_account_key": json.dumps(nobody),
            "allow_http": str(url.startswith("http://")).lower(),
        }

    @override
    def probe(self) -> None:
        try:
            sync(self.files.loop, self.files.first, self.name)
        except NoSuchBucket:
            raise FileNotFoundError(self.name) from None

    @override
    def write(self, key: str, data: bytes) -> None:
        sync(self.files.loop, self.files.put, self.name, self._inside(key), data, {}, False)

    @override
    def create(self, key: str, data: bytes, token: str) -> bool:
        try:
            sync(self.files.loop, self.files.put, self.name, self._inside(key), data, {WRITER: token}, True)
            return True
        except FileExistsError:
            held = self.files.call("GET", "b/{}/o/{}", self.name, self._inside(key), json_out=True)
            return bool(held.get("metadata", {}).get(WRITER) == token)

    @override
    def exists(self, key: str) -> bool:
        try:
            self.files.call("GET", "b/{}/o/{}", self.name, self._inside(key))
        except FileNotFoundError:
            return False
        return True

    @override
    def delete(self, keys: Sequence[str]) -> None:
        sync(self.files.loop, self.files.remove, [self._path(key) for key in keys])
