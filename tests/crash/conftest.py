from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.memory import memory_folder


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def memory_module() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)
