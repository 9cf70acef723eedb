"""Addresses are spelled one way, and connections go only to where they may."""

import datetime
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from configs.schema import WebConfig
from tasks.storage import web
from tasks.storage.addresses import web_url
from tasks.storage.network import is_public
from tasks.storage.web import Web
from tests.servers.web import WebServer, web_server

INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
    "ff02::1", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "2001:0:53aa:64c:0:0:80ff:fffe", "2001:db8::1", "100::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_no_public_host(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_public_hosts(address: str) -> None:
    assert is_public(address)


def test_an_address_has_one_spelling() -> None:
    assert web_url("HTTPS://CDN.Example:443/a/./b/../c d/ü.jpg?v=1#top") == "https://cdn.example/a/c%20d/%C3%BC.jpg?v=1"
    assert web_url("https://Bücher.example/a.jpg") == "https://xn--bcher-kva.example/a.jpg"
    assert web_url("http://cdn.example:8080/a.jpg") == "http://cdn.example:8080/a.jpg"


def _forbidden(web: Web, url: str) -> str:
    with pytest.raises(Rejected) as caught:
        web.fetch(url, 100)
    assert caught.value.reason == Reason.REFERENCE_FORBIDDEN
    return caught.value.detail


def _resolves(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Each lookup gets the next answer, as a name server may give it."""
    left = list(answers)

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture
def site() -> Iterator[WebServer]:
    with web_server() as site:
        site.photo("/a.jpg", b"photo")
        yield site


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["203.0.113.7"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"]])
def test_a_name_of_a_private_address_is_refused_whatever_it_is_called(
    site: WebServer, monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    _resolves(monkeypatch, answer)
    url = site.endpoint.replace("127.0.0.1", "cdn.example")
    assert "cdn.example" in _forbidden(Web((f"{url}/",), WebConfig()), f"{url}/a.jpg")
    assert not site.asked


def test_a_name_that_is_private_a_moment_later_is_not_asked_for_again(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _resolves(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    url = site.endpoint.replace("127.0.0.1", "cdn.example")
    web = Web((f"{url}/",), WebConfig(stall_seconds=0.3, seconds=1))
    with pytest.raises(Rejected):
        web.fetch(f"{url}/a.jpg", 100)
    assert not site.asked


def test_link_local_addresses_stay_forbidden_where_private_ones_are_allowed() -> None:
    for host in ("169.254.169.254", "0.0.0.0", "[fe80::1]", "[::ffff:169.254.169.254]"):
        url = f"http://{host}/latest"
        assert "public" in _forbidden(Web((url,), WebConfig(allow_private_addresses=True)), url)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS server on loopback that is called "localhost", and its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, kind, serialization.NoEncryption())
    file.write_bytes(certificate.public_bytes(encoding) + secret)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"photo")

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}", file
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_server_must_prove_its_name(secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, certificate = secure
    config = WebConfig(allow_private_addresses=True, seconds=5)
    monkeypatch.setattr(web, "PAUSES", (0.01, 0.01, 0.01))

    def fetch(address: str) -> bytes:
        return Web((address,), config).fetch(f"{address}/a.jpg", 100)

    with pytest.raises(Rejected, match="certificate"):
        fetch(url)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert fetch(url) == b"photo"
    with pytest.raises(Rejected, match="certificate"):
        fetch(url.replace("localhost", "127.0.0.1"))
