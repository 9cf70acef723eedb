import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.storage.objects import ObjectStore, open_store
from tests.servers.moto import S3Server, s3_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with this process's environment set up for it."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(params=["file", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "store")
    return request.getfixturevalue("s3").make_bucket(f"store-{uuid.uuid4().hex[:12]}") + "/shop"


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    return open_store(store_url)
