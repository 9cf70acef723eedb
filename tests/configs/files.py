"""Configuration files, and what is said of their faults."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.errors import ConfigError


def faults(call: Callable[..., Any], *arguments: Any) -> str:
    """What the ConfigError says that the call ends in."""
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    """The file, written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
