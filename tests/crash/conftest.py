from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.memory import memory_folder
from tests.servers.moto import S3Server, s3_server


@pytest.fixture
def memory() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def memory_module() -> Iterator[Path]:
    with memory_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server
