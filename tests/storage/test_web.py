"""Addresses are spelled one way, and connections go only to where they may."""

import datetime
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from configs.schema import WebConfig
from tasks.storage import network, web
from tasks.storage.addresses import web_url
from tasks.storage.network import is_public
from tasks.storage.web import Web
from tests.servers.process import free_port
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


def _client(site: WebServer, *others: str, **settings: float) -> Web:
    config = WebConfig(allow_private_addresses=True, **settings)  # type: ignore[arg-type]
    return Web((f"{site.endpoint}/", *others), config)


def _reason(client: Web, url: str, limit: int = 100) -> Reason:
    with pytest.raises(Rejected) as caught:
        client.fetch(url, limit)
    return caught.value.reason


def test_the_stamp_of_a_photo_is_what_its_server_says_of_its_version_and_no_other_answers(site: WebServer) -> None:
    client, url = _client(site), f"{site.endpoint}/a.jpg"
    said = ({"ETag": '"1"'}, {"ETag": '"2"'}, {"Last_Modified": "Monday"}, {"Last_Modified": "Tuesday"})
    stamps = [client.stamp(site.photo("/a.jpg", b"photo", **headers)) for headers in said]
    stamps.append(client.stamp(site.photo("/a.jpg", b"a longer one", ETag='"1"')))
    assert len({*stamps, ""}) == 6
    assert client.stamp(site.photo("/a.jpg", b"photo")) == ""
    site.pages["/a.jpg"] = (405, {"ETag": '"of the page"'}, b"")
    assert client.stamp(url) == ""
    site.pages["/a.jpg"] = (410, {}, b"")
    with pytest.raises(Rejected):
        client.stamp(url)


def test_a_photo_may_have_as_many_bytes_as_allowed_and_pages_that_say_no_any_number(site: WebServer) -> None:
    client, url = _client(site), site.photo("/a.jpg", b"photo")
    assert client.fetch(url, 5) == b"photo"
    assert _reason(client, url, 4) == Reason.REFERENCE_TOO_LARGE
    site.pages["/a.jpg"] = (404, {}, b"<html>not found</html>")
    assert _reason(client, url, 4) == Reason.REFERENCE_MISSING


def test_as_many_redirects_are_followed_as_the_configuration_says(site: WebServer) -> None:
    site.redirect("/2", "/1")
    site.redirect("/1", "/a.jpg")
    assert _client(site, redirects=2).fetch(f"{site.endpoint}/2", 100) == b"photo"
    assert _client(site, redirects=0).fetch(f"{site.endpoint}/a.jpg", 100) == b"photo"
    assert _reason(_client(site, redirects=1), f"{site.endpoint}/2") == Reason.REFERENCE_MISSING


@pytest.mark.parametrize(
    ("statuses", "reason"),
    [
        ((401, 402, 403, 407, 451), Reason.REFERENCE_DENIED),
        ((400, 404, 410, 501), Reason.REFERENCE_MISSING),
        ((408, 425, 429, 500, 502, 503, 504), Reason.REFERENCE_UNREACHABLE),
    ],
)
def test_a_status_tells_who_must_do_something_or_that_time_will(
    site: WebServer, monkeypatch: pytest.MonkeyPatch, statuses: tuple[int, ...], reason: Reason
) -> None:
    monkeypatch.setattr(web, "PAUSES", (0.0,))
    client, again = _client(site), reason == Reason.REFERENCE_UNREACHABLE
    for status in statuses:
        site.pages[f"/{status}"] = (status, {}, b"")
        assert _reason(client, f"{site.endpoint}/{status}") == reason, status
        assert site.asked["GET", f"/{status}"] == 1 + again, status


def test_a_host_is_left_alone_whose_photos_fail_one_after_another_and_no_other(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PAUSES", ())
    monkeypatch.setattr(web, "FAILURES", 2)
    site.failing["/bad.jpg"] = 1000
    good, bad = f"{site.endpoint}/a.jpg", f"{site.endpoint}/bad.jpg"
    with web_server() as other:
        client = _client(site, f"{other.endpoint}/")
        for _ in range(3):
            assert _reason(client, good, 4) == Reason.REFERENCE_TOO_LARGE, "that is no failure of the host's"
        for _ in range(3):
            assert _reason(client, bad) == Reason.REFERENCE_UNREACHABLE
            assert client.fetch(good, 100) == b"photo", "another failed, and not one after another"
        for _ in range(2):
            assert _reason(client, bad) == Reason.REFERENCE_UNREACHABLE
        with pytest.raises(Rejected, match="2 photos of its server could not be had one after another"):
            client.fetch(good, 100)
        assert client.fetch(other.photo("/a.jpg", b"other"), 100) == b"other"


class _Clock(SimpleNamespace):
    """Goes as others do, but `late` seconds ahead of them, and nobody sleeps by it."""

    late = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.late

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} seconds")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    for module in (web, network):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_waiting_for_a_turn_takes_none_of_a_photos_time(site: WebServer, clock: _Clock) -> None:
    @contextmanager
    def long_wait() -> Iterator[None]:
        clock.late += 1000
        yield

    client, url = _client(site, seconds=60), f"{site.endpoint}/a.jpg"
    client._host(url).gate = long_wait()  # type: ignore[assignment]
    assert client.fetch(url, 100) == b"photo"


@pytest.mark.usefixtures("clock")
def test_a_server_is_not_asked_again_once_it_was_silent_or_where_no_time_is_left_for_that(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _client(site, stall_seconds=0.05, seconds=60)
    assert _reason(client, f"{site.endpoint}/stall/a.jpg") == Reason.REFERENCE_TIMED_OUT
    assert site.asked["GET", "/stall/a.jpg"] == 1
    monkeypatch.setattr(web, "PAUSES", (50.0,))
    site.failing["/a.jpg"] = 1
    assert _reason(_client(site, seconds=60), f"{site.endpoint}/a.jpg") == Reason.REFERENCE_UNREACHABLE


def test_a_server_that_is_not_there_is_told_from_one_that_breaks_off(
    site: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "PAUSES", ())
    site.down = True
    away = f"http://127.0.0.1:{free_port()}/"
    client = _client(site, away)
    for url, said in ((f"{site.endpoint}/a.jpg", "its server broke off"), (f"{away}a.jpg", "cannot be connected to")):
        with pytest.raises(Rejected, match=said):
            client.fetch(url, 100)
