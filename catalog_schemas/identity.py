"""Identity is content: the sha256 of the canonical JSON of all that determines a thing."""

import dataclasses
import hashlib
import json
from datetime import datetime
from typing import Any


def canonical_json(value: Any) -> str:
    """One text for one meaning: keys sorted, no spaces, empty fields dropped, records as objects.

    Empty fields (None, "", empty list or object) are dropped, so that a new optional field keeps old identities.
    Floats keep their shortest exact form (RFC 8785's spirit); NaN and infinity raise ValueError.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def content_id(value: Any) -> str:
    """The sha256 (64 hex digits) of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def bytes_id(data: bytes) -> str:
    """The sha256 (64 hex digits) of bytes."""
    return hashlib.sha256(data).hexdigest()


_SCALARS = frozenset({str, int, float, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:  # as nearly all are
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({f.name: getattr(value, f.name) for f in dataclasses.fields(value)})
    if isinstance(value, dict):
        items = ((str(key), _plain(item)) for key, item in value.items())
        return {key: item for key, item in items if not _is_empty(item)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
