"""Containers of Azure Blob Storage, through adlfs and the client library under it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adlfs import AzureBlobFileSystem
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobServiceClient
from fsspec.asyn import _run_coros_in_chunks, sync
from typing_extensions import override

from tasks.storage.bucket import CONNECT_SECONDS, PART_BYTES, READ_SECONDS, Bucket, NoSuchBucket, RangedFile
from tasks.storage.info import ObjectInfo

_DELETE_AT_ONCE = 32
_WRITER = "packshot_writer"  # like `bucket.WRITER`, as an identifier, which Azure asks for
_NETWORK: dict[str, Any] = {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retry_total": 0}


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account as the environment names it; empty where it says nothing."""

    name: str
    key: str
    token: str  # a shared access signature
    endpoint: str

    @classmethod
    def from_environment(cls) -> "Account":
        """From AZURE_STORAGE_CONNECTION_STRING, or else from the variables for its parts."""
        text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
        parts = dict(part.split("=", 1) for part in text.split(";") if "=" in part)
        name = parts.get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
        token = parts.get("SharedAccessSignature") or os.environ.get("AZURE_STORAGE_SAS_TOKEN", "")
        protocol, suffix = parts.get("DefaultEndpointsProtocol", "https"), parts.get("EndpointSuffix", "")
        return cls(
            name,
            parts.get("AccountKey") or os.environ.get("AZURE_STORAGE_ACCOUNT_KEY", ""),
            token.removeprefix("?"),
            parts.get("BlobEndpoint") or (name and f"{protocol}://{name}.blob.{suffix or 'core.windows.net'}"),
        )


class AzureFiles(AzureBlobFileSystem):
    """adlfs that asks once, waits for seconds, and says which of container and blob is missing."""

    def do_connect(self) -> None:
        """Where there is neither key nor token, `credential` is what Azure's own library finds on the machine."""
        account = Account.from_environment()
        if not account.endpoint:
            raise PermissionError("no storage account is named")
        url = f"{account.endpoint}?{account.token}" if account.token and not account.key else account.endpoint
        key = {"account_name": account.name, "account_key": account.key} if account.key else None
        credential = key or (None if account.token else self.credential)
        self.service_client = BlobServiceClient(url, credential=credential, **_NETWORK)

    async def _info(self, path: str, **options: Any) -> Any:
        try:
            return await super()._info(path, **options)
        except FileNotFoundError:
            await self._expect_container(path)
            raise

    async def _ls(self, path: str, **options: Any) -> Any:
        try:
            return await super()._ls(path, **options)
        except FileNotFoundError:
            await self._expect_container(path)
            raise

    async def _expect_container(self, path: str) -> None:
        name, inside, _ = self.split_path(path)
        seen = self.__dict__.setdefault("seen", set())
        if not inside or name in seen:
            return
        try:
            await self.first(name)
        except ResourceNotFoundError:
            raise NoSuchBucket from None
        seen.add(name)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> RangedFile:
        return RangedFile(self, path, mode, block_size or PART_BYTES)

    async def first(self, container: str) -> None:
        """Raises ResourceNotFoundError where there is no such container. Listing needs no right beyond its blobs."""
        async for _ in self.service_client.get_container_client(container).list_blobs(results_per_page=1):
            return

    async def put(self, container: str, key: str, data: bytes, metadata: dict[str, str], create: bool) -> None:
        """Uploads in one request, or in blocks that one request commits."""
        blob = self.service_client.get_blob_client(container, key)
        await blob.upload_blob(data, metadata=metadata, overwrite=not create, max_concurrency=4)

    async def properties(self, container: str, key: str) -> Any:
        """What Azure knows of a blob. Raises ResourceNotFoundError."""
        return await self.service_client.get_blob_client(container, key).get_blob_properties()

    async def below(self, container: str, prefix: str) -> list[Any]:
        """The blobs whose names begin so, but no folders of a hierarchical account."""
        listing = self.service_client.get_container_client(container).list_blobs(prefix, include=["metadata"])
        return [blob async for blob in listing if (blob.metadata or {}).get("hdi_isfolder") != "true"]

    async def remove(self, container: str, keys: Sequence[str]) -> None:
        """Deletes blobs, one request each; those that are not there are fine."""
        inside = self.service_client.get_container_client(container)
        ends = await _run_coros_in_chunks(
            [inside.delete_blob(key) for key in keys], batch_size=_DELETE_AT_ONCE, return_exceptions=True, nofiles=True
        )
        for end in ends:
            if isinstance(end, Exception) and not _is_blob_missing(end):
                raise end

    async def close(self) -> None:
        """Ends the connections."""
        await self.service_client.close()


def filesystem() -> AzureFiles:
    """See `Bucket.connect`."""
    return AzureFiles(use_listings_cache=False, skip_instance_cache=True)


class AzureBucket(Bucket):
    """See `Bucket`; Azure calls it a container."""

    @override
    def connect(self) -> AzureFiles:
        return filesystem()

    @override
    def delta_options(self) -> dict[str, str]:
        if not os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
            return super().delta_options()
        account = Account.from_environment()
        options = {
            "azure_storage_account_name": account.name,
            "azure_storage_account_key": account.key,
            "azure_storage_sas_key": "" if account.key else account.token,
            "azure_storage_endpoint": account.endpoint,
            "azure_allow_http": "true" if account.endpoint.startswith("http://") else "",
        }
        return super().delta_options() | {name: value for name, value in options.items() if value}

    @override
    def probe(self) -> None:
        try:
            self._sync(self.files.first, self.name)
        except ResourceNotFoundError:
            raise FileNotFoundError(self.name) from None

    @override
    def write(self, key: str, data: bytes) -> None:
        self._sync(self.files.put, self.name, self._inside(key), data, {}, False)

    @override
    def create(self, key: str, data: bytes, token: str) -> bool:
        try:
            self._sync(self.files.put, self.name, self._inside(key), data, {_WRITER: token}, True)
            return True
        except ResourceExistsError:
            held = self._sync(self.files.properties, self.name, self._inside(key))
            return bool((held.metadata or {}).get(_WRITER) == token)

    @override
    def exists(self, key: str) -> bool:
        try:
            self._sync(self.files.properties, self.name, self._inside(key))
        except ResourceNotFoundError as error:
            if _is_blob_missing(error):
                return False
            raise
        return True

    @override
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        below = self._inside(prefix) if prefix else self.prefix
        start = len(self.prefix) + 1 if self.prefix else 0
        found = self._sync(self.files.below, self.name, below and f"{below}/")
        for blob in sorted(found, key=lambda blob: str(blob.name)):
            yield ObjectInfo(blob.name[start:], blob.size, blob.last_modified)

    @override
    def delete(self, keys: Sequence[str]) -> None:
        self._sync(self.files.remove, self.name, [self._inside(key) for key in keys])

    def _sync(self, call: Any, *args: Any) -> Any:
        return sync(self.files.loop, call, *args)


def _is_blob_missing(error: BaseException) -> bool:
    return isinstance(error, ResourceNotFoundError) and getattr(error, "error_code", "") == "BlobNotFound"
