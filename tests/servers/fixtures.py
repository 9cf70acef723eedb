"""The servers as fixtures: each is started once per test process, by the first test that asks for it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.storage import web
from tests.servers.azurite import AzureServer, azure_server
from tests.servers.ceph import ceph_server
from tests.servers.gcs import GoogleServer, google_server
from tests.servers.moto import S3Server, s3_server

CloudServer = S3Server | GoogleServer | AzureServer
CLOUDS = ("s3", "ceph", "google", "azure")  # fixtures; all have the same methods


@pytest.fixture(scope="session")
def running_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="session")
def running_ceph() -> Iterator[S3Server]:
    # the path of a UNIX socket has room for about 100 characters
    with tempfile.TemporaryDirectory(prefix="ceph-") as home, ceph_server(Path(home)) as running:
        yield running


@pytest.fixture(scope="session")
def running_google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleServer]:
    with google_server(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture(scope="session")
def running_azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    with azure_server(tmp_path_factory.mktemp("azure")) as running:
        yield running


@pytest.fixture
def s3(running_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with this process's environment set up for it."""
    use(running_s3.environment, monkeypatch)
    return running_s3


@pytest.fixture
def ceph(running_ceph: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The same, Ceph's."""
    use(running_ceph.environment, monkeypatch)
    return running_ceph


@pytest.fixture
def google(running_google: GoogleServer, monkeypatch: pytest.MonkeyPatch) -> GoogleServer:
    """The same."""
    use(running_google.environment, monkeypatch)
    return running_google


@pytest.fixture
def azure(running_azure: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    """The same."""
    use(running_azure.environment, monkeypatch)
    return running_azure


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> CloudServer:
    """Each of them in turn."""
    return request.getfixturevalue(request.param)


def use(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets this process's environment."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def asked_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server that fails is asked again as often as ever, and without a second between."""
    monkeypatch.setattr(web, "PAUSES", tuple(pause / 20 for pause in web.PAUSES))
