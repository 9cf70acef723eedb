"""Prefect's server on SQLite answers whoever writes while others do."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import Settings

from flows.servers import prefect_server
from flows.servers.asgi import App, Message, Receive, Send
from flows.servers.prefect_server import OWNER, AsksAgain, server_command
from tests.servers.prefect_home import PrefectHome
from tests.servers.process import free_port, server_process

ROOT = Path(__file__).parents[3]
PATH = "/api/flow_runs/"
WRITERS, RUNS = 6, 6
WAITS_FOR_A_LOCK = """
import sqlite3, sys, threading, time
from flows.servers.prefect_server import collect_garbage_apart

holder = sqlite3.connect(sys.argv[1], isolation_level=None)
holder.execute("pragma journal_mode = wal")
holder.execute("create table run (name)")
waiter = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0, check_same_thread=False)
holder.execute("begin immediate")
collect_garbage_apart()
garbage = [waiter.cursor()]
garbage.append(garbage)
try:
    garbage[0].execute("insert into run values ('refused')")
except sqlite3.OperationalError:
    del garbage
waiter.execute("pragma busy_timeout = 10000")

def wait():
    try:
        waiter.execute("begin immediate")
        print("had the lock")
    except sqlite3.OperationalError as error:
        print(error)

waiting = threading.Thread(target=wait)
waiting.start()
time.sleep(1)
kept = [[] for _ in range(1_000_000)]  # so many new objects that whoever makes them would collect garbage
time.sleep(2)
holder.execute("commit")
waiting.join()
"""


class Server:
    """An ASGI application that answers with these statuses, one after the other, and the last for ever."""

    def __init__(self, *statuses: int, says: Exception | None = None) -> None:
        self.statuses = list(statuses)
        self.says = says
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        assert scope["path"] == PATH
        scope["path"] = "/changed"  # as a router does
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"answer", "more_body": False})
        if self.says and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self.says


async def _ask(app: App, method: str = "POST", body: Sequence[bytes] = (b"one ", b"run")) -> list[Any]:
    """What a client is sent: statuses and bodies."""
    sent: list[Any] = []
    left: Iterator[Message] = iter(
        [{"type": "http.request", "body": part, "more_body": part != body[-1]} for part in body]
    )

    async def receive() -> Message:
        return next(left)

    async def send(message: Message) -> None:
        sent.append(message.get("status") or message["body"])

    await app({"type": "http", "method": method, "path": PATH}, receive, send)
    return sent


def test_what_a_locked_database_refused_is_asked_again_whole_and_answered_once() -> None:
    server = Server(503, 503, 201, says=RuntimeError("database is locked"))
    assert asyncio.run(_ask(AsksAgain(server))) == [201, b"answer"]
    assert server.bodies == [b"one run"] * 3


def test_patience_ends_with_the_servers_own_answer() -> None:
    server = Server(503)
    assert asyncio.run(_ask(AsksAgain(server, patience=0))) == [503, b"answer"]
    assert len(server.bodies) == 2


@pytest.mark.parametrize(("method", "status"), [("GET", 503), ("POST", 404), ("POST", 201)])
def test_whatever_else_is_answered_is_passed_on(method: str, status: int) -> None:
    server = Server(status, 200)
    assert asyncio.run(_ask(AsksAgain(server), method)) == [status, b"answer"]


def test_a_bug_in_the_server_stays_one() -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(_ask(AsksAgain(Server(500, says=RuntimeError("a bug")))))


def test_others_wait_while_a_refused_request_has_its_turn() -> None:
    order: list[str] = []

    async def server(scope: Message, receive: Receive, send: Send) -> None:
        body = (await receive())["body"].decode()
        order.append(body)
        if body == "refused" and order.count(body) == 1:
            await send({"type": "http.response.start", "status": 503})
            return
        for _ in range(5):
            await asyncio.sleep(0.01)
        order.append(f"{body} is through")
        await send({"type": "http.response.start", "status": 200})

    async def ask_both() -> None:
        asks_again = AsksAgain(server)
        first = asyncio.create_task(_ask(asks_again, body=[b"refused"]))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, _ask(asks_again, body=[b"other"]))

    asyncio.run(ask_both())
    assert order == ["refused", "refused", "refused is through", "other", "other is through"]


def test_garbage_that_waits_for_a_lock_holds_up_no_one_who_has_it(tmp_path: Path) -> None:
    waits = [sys.executable, "-c", WAITS_FOR_A_LOCK, str(tmp_path / "runs.db")]
    said = subprocess.run(waits, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == "had the lock", said.stderr


def test_many_who_start_runs_at_once_are_all_served(tmp_path: Path, prefect_home: PrefectHome) -> None:
    port = free_port()
    api = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", *server_command("127.0.0.1", port)]
    with server_process(
        command,
        tmp_path / "home",
        f"{api}/health",
        seconds=180,
        PYTHONPATH=str(ROOT),
        PREFECT_HOME=str(prefect_home(tmp_path / "home")),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
    ):

        def ask(path: str, body: dict[str, Any]) -> tuple[int, Any]:
            request = urllib.request.Request(
                api + path, json.dumps(body).encode(), {"content-type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=50) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                return error.code, {}

        _, flow = ask("/flows/", {"name": "make-variants"})
        _, deployment = ask("/deployments/", {"name": "form", "flow_id": flow["id"]})

        def start_runs(_: int) -> list[int]:
            statuses = []
            for _ in range(RUNS):
                status, run = ask(f"/deployments/{deployment['id']}/create_flow_run", {})
                statuses.append(status)
                for state in ("PENDING", "RUNNING", "COMPLETED"):
                    statuses.append(ask(f"/flow_runs/{run.get('id')}/set_state", {"state": {"type": state}})[0])
            return statuses

        with ThreadPoolExecutor(WRITERS) as pool:
            statuses = Counter(status for each in pool.map(start_runs, range(WRITERS)) for status in each)
    assert statuses == {201: WRITERS * RUNS * 4}


def test_a_server_for_one_run_fills_no_database_with_what_only_the_ui_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[bool]()
    monkeypatch.setenv(OWNER, str(os.getppid()))
    monkeypatch.delenv("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", raising=False)
    monkeypatch.setattr(prefect_server, "_end_without", lambda parent: None)
    monkeypatch.setattr(prefect_server, "_mended", lambda **_: told.append(Settings().server.register_blocks_on_start))
    prefect_server.for_one_run()
    assert told == [False]
