"""Which code serves which URL scheme. A driver is loaded when a URL first asks for it: each is an extra of its own."""

from importlib import import_module
from typing import Any

from tasks.storage.bucket import Bucket

SCHEMES = ("s3", "gs", "abfs", "az")
_SAME = {"az": "abfs"}  # two spellings of one place
_CODE = {"s3": ("s3", "S3Bucket"), "gs": ("google", "GoogleBucket"), "abfs": ("azure", "AzureBucket")}


def canonical(scheme: str) -> str:
    """The one spelling of a scheme."""
    return _SAME.get(scheme, scheme)


def bucket(scheme: str, root: str) -> Bucket:
    """The bucket or prefix `root`, not touched yet. Raises ImportError where its driver is not installed."""
    made: Bucket = getattr(_module(scheme), _CODE[canonical(scheme)][1])(canonical(scheme), root)
    return made


def filesystem(scheme: str) -> Any:
    """A new fsspec filesystem: see `Bucket.connect`."""
    return _module(scheme).filesystem()


def _module(scheme: str) -> Any:
    return import_module(f"tasks.storage.{_CODE[canonical(scheme)][0]}")
