"""Where a server of packshot's listens, and whom it lets in."""

import base64
import hmac
import os
import socket
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketClose

from catalog_schemas.errors import ConfigError
from flows.servers.asgi import App, Message, Receive, Send


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


def for_this_machine(app: App, variable: str) -> App:
    """Middleware (ASGI 3.0): without a password in the environment's `variable`, `app` answers only who asks for this
    machine as such (RFC 9110, Host).

    The page of another site may have its own name lead here once it is loaded (DNS rebinding), and then asks as if it
    were one of `app`'s. It does not know a password.
    """
    if os.environ.get(variable):
        return app

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        asked = Headers(raw=scope.get("headers", [])).get("host", "localhost")  # starting and ending ask for nothing
        if _means_this_machine(asked):
            await app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            why = (
                f"You asked for {asked}. Without a password this server answers only who asks for localhost or "
                f'127.0.0.1. Ask for that, or start it with {variable}="name:password".'
            )
            await PlainTextResponse(why, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, send)

    return answer


def _means_this_machine(asked: str) -> bool:
    try:
        name = urlsplit(f"//{asked}").hostname or ""
    except ValueError:  # half an address of IPv6
        return False
    return _is_loopback(name) or name.endswith(".localhost")  # RFC 6761, section 6.3


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
