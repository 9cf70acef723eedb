"""Folders in memory where there are any: a night is a hundred small files."""

import os
import tempfile
from pathlib import Path

SHARED = Path("/dev/shm")


def memory_folder() -> "tempfile.TemporaryDirectory[str]":
    """A temporary folder, to be cleaned up or used as a context."""
    root = SHARED if SHARED.is_dir() and os.access(SHARED, os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="packshot-", dir=root)
