"""Photos on the web: fetched from where the configuration says, within limits, and from nowhere else.

An address in a catalog is other people's input, and so is every redirect. A request goes to an allowed prefix only, at
an address that was checked when the connection was made, so that a name that resolves otherwise a moment later leads
nowhere. No cookie, credential or proxy of the environment takes part. A host that keeps failing is left alone for a
while, so that its photos do not cost a night.
"""

import hashlib
import ipaddress
import random
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import PASSING, Reason
from configs.schema import WebConfig
from tasks.storage.faults import PAUSES

SCHEMES = ("http", "https")
HEADERS: tuple[tuple[bytes | str, bytes | str], ...] = (
    ("User-Agent", "packshot"),
    ("Accept", "image/jpeg,image/png,image/webp"),  # what else comes is read, too; a server that can choose sends these
    ("Accept-Encoding", "identity"),
)
FAILURES = 20  # photos in a row that make a host count as down
REST = 60.0  # seconds that it is then left alone
ADDRESSES = 4  # of a host, tried one after another
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_DENIED = (401, 402, 403, 407, 451)
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def web_url(reference: str) -> str:
    """The one spelling of a web address: host in lower case and ASCII, path without "..", no fragment.

    Raises Rejected(REFERENCE_FORBIDDEN) for what is no plain http(s) address, such as one that names a user.
    """
    try:
        url = httpx.URL(reference).copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise _forbidden(reference, "is not a web address that can be read") from None
    if url.scheme not in SCHEMES or not url.raw_host or not 0 < (url.port or 443) < 65536:
        raise _forbidden(reference, "is not a web address of a host")
    if url.userinfo:
        raise _forbidden("an address", "names a user or a password; photos are fetched without credentials")
    if "\\" in reference or ".." in unquote(url.path).split("/"):
        raise _forbidden(reference, 'holds a backslash or a hidden ".."')
    return str(url)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large, also where IPv6 wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.teredo is not None:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


@dataclass
class _Host:
    """The requests under way to a host, and the photos that failed since one came."""

    gate: threading.BoundedSemaphore
    failures: int = 0
    rests_until: float = 0.0


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: dict[str, str]
    data: bytes


class _Clock(threading.local):
    """When the photo that this thread fetches must be there."""

    end = float("inf")

    def left(self, seconds: float | None) -> float:
        return max(min(self.end - time.monotonic(), float("inf") if seconds is None else seconds), 0.001)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.end


@dataclass
class Web:
    """A client for photos below `allowed` prefixes, which `web_url` has spelled. Safe to share between threads."""

    allowed: tuple[str, ...]
    config: WebConfig
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._clock = _Clock()
        context = httpcore.default_ssl_context()
        context.load_default_certs()  # those of this machine too, and of SSL_CERT_FILE
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=15.0,
            network_backend=_Network(self._clock, self.config.allow_private_addresses),
        )

    def fetch(self, url: str, limit: int) -> bytes:
        """The bytes behind an address, at most `limit` of them.

        Raises Rejected: REFERENCE_MISSING, _FORBIDDEN, _DENIED, _TOO_LARGE, _UNREACHABLE or _TIMED_OUT.
        """
        answer = self._ask("GET", url, limit)
        if answer.status == 200:
            return answer.data
        raise _refused(url, answer.status)

    def stamp(self, url: str) -> str:
        """What the server says of the version of a photo, shortened; "" where only its bytes can tell. Raises likewise.

        A server that does not care for HEAD is asked for nothing else here: GET will tell.
        """
        answer = self._ask("HEAD", url, 0)
        if answer.status in _GONE:
            raise _refused(url, answer.status)
        if answer.status != 200:
            return ""
        headers = answer.headers
        version = headers.get("etag") or headers.get("last-modified")
        if not version:
            return ""
        return hashlib.sha256(f"{version} {headers.get('content-length', '')}".encode()).hexdigest()[:32]

    def _ask(self, method: str, url: str, limit: int) -> _Answer:
        """The answer to a request, asked again while the server fails in a way that may pass."""
        host = self._host(url)
        if time.monotonic() < host.rests_until:
            detail = f"{FAILURES} photos of its server could not be had one after another; see whether it is up"
            raise Rejected(Reason.REFERENCE_UNREACHABLE, f"{url}: {detail}")
        self._clock.end = time.monotonic() + self.config.seconds
        try:
            answer = self._patiently(method, url, limit)
        except Rejected as verdict:
            self._note(host, failed=verdict.reason in PASSING)
            raise
        finally:
            self._clock.end = float("inf")
        self._note(host, failed=False)
        return answer

    def _host(self, url: str) -> _Host:
        with self._lock:
            new = _Host(threading.BoundedSemaphore(self.config.connections_per_host))
            return self._hosts.setdefault(httpx.URL(url).netloc.decode(), new)

    @contextmanager
    def _turn(self, url: str) -> Iterator[None]:
        """One of the requests to a host that may be under way; waiting for it takes none of the photo's time."""
        began = time.monotonic()
        with self._host(url).gate:
            self._clock.end += time.monotonic() - began
            yield

    def _note(self, host: _Host, failed: bool) -> None:
        with self._lock:
            host.failures = host.failures + 1 if failed else 0
            if host.failures >= FAILURES:
                host.failures, host.rests_until = 0, time.monotonic() + REST

    def _patiently(self, method: str, url: str, limit: int) -> _Answer:
        for pause in (*PAUSES, None):
            try:
                answer = self._follow(method, url, limit)
                if answer.status not in _PASSING:
                    return answer
                verdict = Rejected(Reason.REFERENCE_UNREACHABLE, f"{url}: its server answered {answer.status}")
            except (httpcore.TimeoutException, TimeoutError):
                seconds = f"{self.config.stall_seconds:g} s of silence or {self.config.seconds:g} s in all"
                verdict = Rejected(Reason.REFERENCE_TIMED_OUT, f"{url}: its server took more than {seconds}")
                break  # patience has been had
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, OSError) as error:
                verdict = Rejected(Reason.REFERENCE_UNREACHABLE, f"{url}: {_cause(error)}")
            if pause is None or self._clock.left(None) < pause * 1.5:
                break
            time.sleep(pause * random.uniform(0.5, 1.5))
        raise verdict

    def _follow(self, method: str, url: str, limit: int) -> _Answer:
        """The answer at the end of redirects, each of which must be allowed as if the catalog had listed it."""
        start = url
        for _ in range(self.config.redirects + 1):
            answer = self._once(method, url, limit)
            if answer.status not in _REDIRECTS:
                return answer
            url = self._next(url, answer.headers.get("location", ""))
        raise Rejected(
            Reason.REFERENCE_MISSING,
            f"{start}: redirected more than {self.config.redirects} times; list the last address",
        )

    def _next(self, url: str, location: str) -> str:
        try:
            target = web_url(str(httpx.URL(url).join(location)))
        except (httpx.InvalidURL, ValueError):
            raise _forbidden(url, "redirects to what is no web address") from None
        except Rejected:
            raise _forbidden(url, "redirects to what is no plain web address") from None
        if not is_below(target, self.allowed):
            raise _forbidden(url, f"redirects to {target[:200]!r}, outside the configured reference_prefixes")
        return target

    def _once(self, method: str, url: str, limit: int) -> _Answer:
        parts, stall = httpx.URL(url), self.config.stall_seconds
        target = httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
        headers: list[tuple[bytes | str, bytes | str]] = [*HEADERS, ("Host", parts.netloc.decode())]
        timeouts = {"connect": stall, "read": stall, "write": stall, "pool": stall}
        stream = self._pool.stream(method, target, headers=headers, extensions={"timeout": timeouts})
        with self._turn(url), stream as response:
            named = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if method == "HEAD" or response.status != 200:
                return _Answer(response.status, named, b"")
            return _Answer(response.status, named, _body(response, named, url, limit))


def is_below(url: str, prefixes: Iterable[str]) -> bool:
    """Whether a URI is one of the prefixes or lies below one."""
    return any(url == prefix or url.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that may be connected to, and ends waiting when the clock does."""

    def __init__(self, clock: _Clock, private: bool) -> None:
        self.clock, self.private = clock, private
        self.plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        fault: Exception = httpcore.ConnectError("no address")
        for address in self._addresses(host, port)[:ADDRESSES]:
            if self.clock.is_over:
                raise httpcore.ConnectTimeout
            try:
                # The address itself, not the name again: the next lookup might say something else.
                stream = self.plain.connect_tcp(
                    address, port, self.clock.left(timeout), local_address, socket_options or ()
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
                continue
            self._admit(host, str(stream.get_extra_info("server_addr")[0]))
            return _Stream(stream, self.clock)
        raise fault

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("no such host") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            self._admit(host, address)
        return addresses

    def _admit(self, host: str, address: str) -> None:
        ip = ipaddress.ip_address(address.partition("%")[0])
        inner = getattr(ip, "ipv4_mapped", None) or ip
        inside = self.private and (inner.is_private or inner.is_loopback)
        if not is_public(address) and (not inside or inner.is_link_local or inner.is_unspecified or inner.is_multicast):
            what = f"its host {host} has the address {address}, which is not on the public internet"
            raise Rejected(Reason.REFERENCE_FORBIDDEN, f"the web address is refused: {what}")


class _Stream(httpcore.NetworkStream):
    """A connection whose every wait ends when the clock does."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self.stream, self.clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.clock.is_over:
            raise httpcore.ReadTimeout
        return self.stream.read(max_bytes, self.clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, self.clock.left(timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self.stream.start_tls(ssl_context, server_hostname, self.clock.left(timeout))
        return _Stream(secured, self.clock)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


def _body(response: httpcore.Response, headers: dict[str, str], url: str, limit: int) -> bytes:
    promised = headers.get("content-length", "")
    if promised.isdecimal() and int(promised[:20]) > limit:
        raise _too_large(url, limit)
    data = bytearray()
    for part in response.iter_stream():
        data += part
        if len(data) > limit:
            raise _too_large(url, limit)
    return bytes(data)


def _refused(url: str, status: int) -> Rejected:
    if status in _DENIED:
        what = f"its server refuses to hand it out (status {status}); let everyone read it"
        return Rejected(Reason.REFERENCE_DENIED, f"{url}: {what}")
    return Rejected(
        Reason.REFERENCE_MISSING, f"{url}: expected a photo, its server answered {status}; correct the catalog"
    )


def _too_large(url: str, limit: int) -> Rejected:
    return Rejected(Reason.REFERENCE_TOO_LARGE, f"{url}: expected at most {limit} bytes, got more; shrink the photo")


def _forbidden(reference: str, why: str) -> Rejected:
    return Rejected(Reason.REFERENCE_FORBIDDEN, f"{reference[:200]!r} {why}")


def _cause(error: Exception) -> str:
    """In our own words: never a server's."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ssl.SSLError):
            return "its server cannot prove who it is (certificate or TLS)"
        link = link.__cause__ or link.__context__
    if isinstance(error, httpcore.ConnectError):
        return "its server cannot be connected to"
    return "its server broke off"
