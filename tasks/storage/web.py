"""Photos on the web: fetched from where the configuration says, within limits, and from nowhere else.

An address in a catalog is other people's input, and so is every redirect. A request goes to an allowed prefix only, at
an address that was checked when the connection was made, so that a name that resolves otherwise a moment later leads
nowhere. No cookie, credential or proxy of the environment takes part. A host that keeps failing is left alone for a
while, so that its photos do not cost a night.
"""

import hashlib
import random
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpcore
import httpx

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import PASSING, Reason
from configs.schema import WebConfig
from tasks.storage.addresses import forbidden, is_below, web_url
from tasks.storage.faults import PAUSES
from tasks.storage.network import Deadline, Network

HEADERS: tuple[tuple[bytes | str, bytes | str], ...] = (
    ("User-Agent", "packshot"),
    ("Accept", "image/jpeg,image/png,image/webp"),  # what else comes is read, too; a server that can choose sends these
    ("Accept-Encoding", "identity"),
)
FAILURES = 20  # photos in a row that make a host count as down
REST = 60.0  # seconds that it is then left alone
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (404, 410)
_DENIED = (401, 402, 403, 407, 451)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


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


@dataclass
class Web:
    """A client for photos below `allowed` prefixes, which `web_url` has spelled. Safe to share between threads."""

    allowed: tuple[str, ...]
    config: WebConfig
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._deadline = Deadline()
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpcore.default_ssl_context(),  # trusts certifi, this machine and SSL_CERT_FILE
            max_connections=None,
            max_keepalive_connections=64,
            keepalive_expiry=15.0,
            network_backend=Network(self._deadline, self.config.allow_private_addresses),
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
        self._deadline.end = time.monotonic() + self.config.seconds
        try:
            answer = self._patiently(method, url, limit)
        except Rejected as verdict:
            self._note(host, failed=verdict.reason in PASSING)
            raise
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
            self._deadline.end += time.monotonic() - began
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
            if pause is None or self._deadline.left(None) < pause * 1.5:
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
            raise forbidden(url, "redirects to what is no web address") from None
        except Rejected:
            raise forbidden(url, "redirects to what is no plain web address") from None
        if not is_below(target, self.allowed):
            raise forbidden(url, f"redirects to {target[:200]!r}, outside the configured reference_prefixes")
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
