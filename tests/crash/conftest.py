from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.memory import memory_folder
from tests.crash.watched import Clock, ClockedStore


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def memory_module() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(memory: Path, clock: Clock) -> ClockedStore:
    return ClockedStore(str(memory / "store"), clock)
