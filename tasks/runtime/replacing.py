"""Local files that are replaced whole: whoever reads one meanwhile has the old one or the new one."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(to: Path) -> Iterator[Path]:
    """A path to write to, which becomes `to` if all goes well and is gone otherwise. Raises OSError."""
    if not to.name:  # "." or "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(to))
    fresh = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield fresh
        fresh.replace(to)
    finally:
        with suppress(OSError):
            fresh.unlink()
