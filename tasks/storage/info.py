"""What a listing says of an object."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's key, its size in bytes, and when it was last written."""

    key: str
    size: int
    modified: datetime
