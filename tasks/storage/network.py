"""Connections to the internet at large and nowhere else, each of whose waits ends at a deadline."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason

ADDRESSES = 4  # of a host, tried one after another
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Deadline(threading.local):
    """When the photo that this thread fetches must be there."""

    end = float("inf")

    def left(self, seconds: float | None) -> float:
        """How many seconds may still be waited, at most `seconds`."""
        return max(min(self.end - time.monotonic(), float("inf") if seconds is None else seconds), 0.001)

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self.end


class Network(httpcore.NetworkBackend):
    """Connects to addresses that may be connected to, and ends waiting when the deadline does."""

    def __init__(self, deadline: Deadline, private: bool) -> None:
        self.deadline, self.private = deadline, private
        self.plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to one of the host's addresses; raises Rejected where one of them is not on the internet."""
        fault: Exception = httpcore.ConnectError("no address")
        for address in self._addresses(host, port)[:ADDRESSES]:
            if self.deadline.is_over:
                raise httpcore.ConnectTimeout
            try:
                # The address itself, not the name again: the next lookup might say something else.
                stream = self.plain.connect_tcp(
                    address, port, self.deadline.left(timeout), local_address, socket_options or ()
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
                continue
            self._admit(host, str(stream.get_extra_info("server_addr")[0]))
            return _Stream(stream, self.deadline)
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
    """A connection whose every wait ends when the deadline does."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self.stream, self.deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.deadline.is_over:
            raise httpcore.ReadTimeout
        return self.stream.read(max_bytes, self.deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, self.deadline.left(timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self.stream.start_tls(ssl_context, server_hostname, self.deadline.left(timeout))
        return _Stream(secured, self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


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
