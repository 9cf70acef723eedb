"""Buckets of S3 and of the servers that speak as it does, through s3fs."""

import asyncio
import os
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from typing import Any

import s3fs
from aiobotocore.session import AioSession
from botocore.loaders import create_loader
from typing_extensions import override

from catalog_schemas.errors import StoreUnreachable
from tasks.storage.bucket import CONNECT_SECONDS, READ_SECONDS, WRITER, Bucket
from tasks.storage.faults import code_of

_UNSAID = ("400", "403")  # a refusal of HEAD, whose answer has no room for the code
_MODELS = create_loader()  # what botocore knows of services: to read it anew takes longer than a request


class S3Files(s3fs.S3FileSystem):
    """s3fs, whose client ends on its own event loop.

    s3fs ends a client that nobody needs any more on whatever loop runs in the thread in which garbage is collected,
    such as Prefect's. There it fails, with a traceback on the terminal, and its connections stay open.
    """

    @staticmethod
    @override
    def close_session(loop: AbstractEventLoop, client: Any) -> None:
        """Called once the filesystem is gone."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # none runs in this thread, and s3fs takes the client's
            s3fs.S3FileSystem.close_session(loop, client)
        else:
            asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), loop)


def filesystem(read_seconds: int = READ_SECONDS) -> Any:
    """See `Bucket.connect`. Raises StoreUnreachable where the endpoint is no URL."""
    if (endpoint := _endpoint()) and not endpoint.startswith(("http://", "https://")):
        raise StoreUnreachable(f"AWS_ENDPOINT_URL: expected the like of http://host:9000, got {endpoint!r}; correct it")
    session = AioSession()
    session.register_component("data_loader", _MODELS)
    network = {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": read_seconds,
        "retries": {"total_max_attempts": 1},
    }
    made = S3Files(session=session, config_kwargs=network, use_listings_cache=False, skip_instance_cache=True)
    made.retries = 1
    return made


def _endpoint() -> str:
    """The server that is asked in place of AWS; empty for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")


class S3Bucket(Bucket):
    """See `Bucket`."""

    @override
    def connect(self) -> Any:
        return filesystem()

    @override
    def delta_options(self) -> dict[str, str]:
        endpoint = _endpoint()
        if not endpoint:
            return super().delta_options()
        return super().delta_options() | {
            "aws_endpoint_url": endpoint,
            "aws_allow_http": str(endpoint.startswith("http://")).lower(),
        }

    @override
    def probe(self) -> None:
        try:
            self.files.info(self.name)
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and code_of(error) in _UNSAID:
                self.files.call_s3("list_objects_v2", Bucket=self.name, MaxKeys=1)  # says why
            raise

    @override
    def write(self, key: str, data: bytes) -> None:
        self.files.pipe_file(self._path(key), data)

    @override
    def create(self, key: str, data: bytes, token: str) -> bool:
        try:
            self.files.pipe_file(self._path(key), data, mode="create", Metadata={WRITER: token})
            return True
        except OSError as error:
            if not isinstance(error, FileExistsError) and code_of(error) not in ("PreconditionFailed", "412"):
                raise
        return bool(self.files.metadata(self._path(key)).get(WRITER) == token)

    @override
    def exists(self, key: str) -> bool:
        try:
            return bool(self.files.info(self._path(key))["type"] == "file")
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            return False

    @override
    def delete(self, keys: Sequence[str]) -> None:
        try:
            self.files.rm([self._path(key) for key in keys])
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            for key in filter(self.exists, keys):
                self.files.rm_file(self._path(key))
