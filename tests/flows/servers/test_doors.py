"""Whom a server without a password answers: a page whose name was made to lead here is not among them."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
import uvicorn

from catalog_schemas.errors import ConfigError
from flows.servers import prefect_server
from flows.servers.asgi import App, Message, Receive, Send
from flows.servers.browse import AUTH, BrowseOptions, browse
from flows.servers.doors import for_this_machine, refuse_open_doors
from tests.flows.shop import Shop

VARIABLE = "SHOP_AUTH"


async def _server(scope: Message, receive: Receive, send: Send) -> None:
    """Stands for whatever is served."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"pictures"})


def _answer(app: App, host: str, path: str = "/") -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.get(f"http://localhost{path}", headers={"host": host})

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("host", "password", "open_to_all"),
    [("127.0.0.1", "", False), ("localhost", "", False), ("::1", "", False)]
    + [(host, password, not password) for host in ("0.0.0.0", "::", "192.168.0.2", "shop") for password in ("", "a:b")],
)
def test_other_machines_reach_a_server_with_a_password_only(
    host: str, password: str, open_to_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, password)
    with pytest.raises(ConfigError, match=f"--host {host} can be reached") if open_to_all else nullcontext():
        refuse_open_doors(host, VARIABLE, "see the galleries")


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:4300", "LOCALHOST:4300", "127.0.0.1:4300", "127.0.0.5", "[::1]:4300", "a.localhost"],
)
def test_this_machine_is_answered_under_each_of_its_names(host: str) -> None:
    assert _answer(for_this_machine(_server, VARIABLE), host).text == "pictures"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:4300",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil-localhost",
        "192.0.2.7",
        "0.0.0.0",
        "[2001:db8::1]:4300",
        "[::1",
        "",
    ],
)
def test_no_other_name_is_and_the_answer_says_what_to_do(host: str) -> None:
    answer = _answer(for_this_machine(_server, VARIABLE), host)
    assert answer.status_code == 421
    assert f'Ask for that, or start it with {VARIABLE}="name:password".' in answer.text


def test_a_server_with_a_password_is_answered_under_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "me:secret")
    assert _answer(for_this_machine(_server, VARIABLE), "pictures.example.com").text == "pictures"


def test_events_go_to_this_machine_alone_and_starting_is_no_request() -> None:
    def sent(scope: dict[str, Any]) -> list[str]:
        said: list[str] = []

        async def send(message: Message) -> None:
            said.append(message["type"])

        asyncio.run(for_this_machine(_server, VARIABLE)(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]
        return said

    assert sent({"type": "websocket", "headers": [(b"host", b"127.0.0.1:4200")]}) == ["websocket.accept"]
    assert sent({"type": "websocket", "headers": [(b"host", b"evil.example")]}) == ["websocket.close"]
    assert sent({"type": "lifespan"}) == []


@pytest.mark.parametrize("serve", [prefect_server.with_ui, prefect_server.for_one_run])
def test_prefects_api_without_a_password_is_this_machines_alone(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[], App]
) -> None:
    monkeypatch.delenv(prefect_server.AUTH, raising=False)
    monkeypatch.setenv(prefect_server.OWNER, "1")
    monkeypatch.setattr(prefect_server, "_mended", lambda ephemeral: _server)
    monkeypatch.setattr(prefect_server, "_end_without", lambda owner: None)
    app = serve()
    assert _answer(app, "127.0.0.1:4200", "/api/health").text == "pictures"
    assert _answer(app, "evil.example:4200", "/api/health").status_code == 421


def test_galleries_without_a_password_are_this_machines_alone(finished: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[App] = []
    monkeypatch.delenv(AUTH, raising=False)
    monkeypatch.setattr(uvicorn, "run", lambda app, **more: served.append(app))
    browse(BrowseOptions(finished.store, port=0), print)
    assert _answer(served[0], "127.0.0.1:4300", "/gallery/").status_code == 200
    assert _answer(served[0], "evil.example:4300", "/gallery/").status_code == 421
