"""A real S3 endpoint: moto's server in a process and a home of its own."""

import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import free_port, server_process

ROOT = Path(__file__).parents[2]
USER = "packshot-tests"
SECRET = "canary-secret-7f3a9c"  # tests look for it in outputs: it must never turn up


@dataclass(frozen=True)
class S3Server:
    """Where the endpoint listens."""

    endpoint: str

    def at(self, endpoint: str) -> dict[str, str]:
        """What a process needs in its environment to use this server, and no other, through that address."""
        return {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same through its own address."""
        return self.at(self.endpoint)

    def url(self, name: str) -> str:
        """What a bucket is called."""
        return f"s3://{name}"

    def make_bucket(self, name: str) -> str:
        """Creates a bucket and returns its URL."""
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        with urllib.request.urlopen(request, timeout=60):
            return self.url(name)


@contextmanager
def s3_server(home: Path) -> Iterator[S3Server]:
    """Runs the server for the length of the block; `home` takes its log and whatever it wants to keep."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "tests.servers.moto_server", str(port)]
    with server_process(command, home, f"{server.endpoint}/moto-api/", PYTHONUNBUFFERED="1", PYTHONPATH=str(ROOT)):
        yield server
