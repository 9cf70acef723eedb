"""Where a server of packshot's listens, and whom it lets in."""

import base64
import hmac
import os
import socket
from ipaddress import ip_address

from catalog_schemas.errors import ConfigError


def refuse_open_doors(host: str, variable: str, what: str) -> None:
    """Others are let in with a password only, which the environment's `variable` holds as "name:password".

    Raises ConfigError, which says `what` anyone could do, where other machines may reach `host` and there is none.
    """
    if not os.environ.get(variable) and not _is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, and the server would let anyone {what}; "
            f'set {variable}="name:password" first (the browser asks for it), or keep --host 127.0.0.1'
        )


def is_let_in(authorization: bytes, password: str) -> bool:
    """Whether an Authorization header holds "name:password" (RFC 7617), where one is asked for."""
    wanted = b"Basic " + base64.b64encode(password.encode())
    return not password or hmac.compare_digest(authorization, wanted)


def reachable(host: str) -> str:
    """Where this machine reaches a server that is bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "localhost": "127.0.0.1", "::": "::1"}.get(host, host)


def url_of(host: str, port: int) -> str:
    """The same as a browser asks for it: an address of IPv6 stands in brackets (RFC 3986)."""
    name = reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def claim_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises ConfigError where it is taken."""
    family = socket.AF_INET6 if ":" in reachable(host) else socket.AF_INET
    try:
        with socket.create_server((reachable(host), port), family=family) as listener:
            return int(listener.getsockname()[1])
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "ports end at 65535"
        raise ConfigError(
            f"--port {port} on {host} cannot be had: {why}; name another, or --port 0 for one that is free"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
