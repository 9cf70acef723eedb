"""An Azure Blob Storage endpoint: Azurite, installed once beside the Python environment, in a process of its own."""

import base64
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.servers.moto import SECRET
from tests.servers.process import free_port, server_process

VERSION = "3.37.0"  # earlier ones list from the beginning whatever the Delta driver asks for
NODE = 20  # the oldest that it was seen to run on
ACCOUNT = "packshottests"
KEY = base64.b64encode(SECRET.encode()).decode()
_HOME = Path(sys.prefix) / "azurite"
_PROGRAM = _HOME / "node_modules/azurite/dist/src/blob/main.js"


@dataclass(frozen=True)
class AzureServer:
    """Where the endpoint listens."""

    endpoint: str

    def at(self, endpoint: str) -> dict[str, str]:
        """What a process needs in its environment to use this server, and no other, through that address."""
        parts = {"AccountName": ACCOUNT, "AccountKey": KEY, "BlobEndpoint": f"{endpoint}/{ACCOUNT}"}
        return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in parts.items())}

    def with_token(self, endpoint: str) -> dict[str, str]:
        """The same with a shared access signature in place of the key."""
        from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

        everything = ResourceTypes(service=True, container=True, object=True)
        rights, until = AccountSasPermissions.from_string("rwdlac"), datetime.now(UTC) + timedelta(days=1)
        token = generate_account_sas(ACCOUNT, KEY, everything, rights, until)
        parts = {"BlobEndpoint": f"{endpoint}/{ACCOUNT}", "AccountName": ACCOUNT, "SharedAccessSignature": token}
        return {"AZURE_STORAGE_CONNECTION_STRING": ";".join(f"{name}={value}" for name, value in parts.items())}

    @property
    def environment(self) -> dict[str, str]:
        """The same through its own address."""
        return self.at(self.endpoint)

    def url(self, name: str) -> str:
        """What a container is called."""
        return f"abfs://{name}"

    def make_bucket(self, name: str) -> str:
        """Creates a container and returns its URL."""
        from azure.storage.blob import BlobServiceClient

        with BlobServiceClient.from_connection_string(*self.environment.values()) as client:
            client.create_container(name)
        return self.url(name)


@contextmanager
def azure_server(home: Path) -> Iterator[AzureServer]:
    """Runs the server for the length of the block; skips where it cannot be installed."""
    node = _installed()
    port = free_port()
    server = AzureServer(f"http://127.0.0.1:{port}")
    command = [node, str(_PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with server_process(command, home, server.endpoint, AZURITE_ACCOUNTS=f"{ACCOUNT}:{KEY}"):
        yield server


def _installed() -> str:
    """Installs Azurite where that has not been done; returns Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not (npm or _PROGRAM.exists()):
        pytest.skip("AZURE IS NOT TESTED: its server needs Node.js and npm, which are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < NODE:
        pytest.skip(f"AZURE IS NOT TESTED: its server needs Node.js {NODE} or newer, and this is {version}")
    _HOME.mkdir(exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _PROGRAM.exists():
            command = [npm, "install", "--prefix", str(_HOME), "--no-audit", "--no-fund", "--ignore-scripts"]
            done = subprocess.run([*command, f"azurite@{VERSION}"], capture_output=True, text=True, timeout=600)
            if done.returncode:
                pytest.skip(f"AZURE IS NOT TESTED: npm could not install azurite: {done.stderr.strip()[-300:]}")
    return node
