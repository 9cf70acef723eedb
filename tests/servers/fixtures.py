"""The servers as fixtures: each is started once per test process, by the first test that asks for it."""

from collections.abc import Iterator

import pytest

from tests.servers.moto import S3Server, s3_server


@pytest.fixture(scope="session")
def running_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3(running_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with this process's environment set up for it."""
    for name, value in running_s3.environment.items():
        monkeypatch.setenv(name, value)
    return running_s3
