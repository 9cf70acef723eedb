"""Prefect's server as `packshot` starts it: on SQLite, without the two ways in which that stands still or refuses.

A request that a busy database refused is asked again here. Prefect answers it with 503 and leaves the rest to its own
client, but a browser is none: the form would say "Unknown error while creating flow run".

Garbage is collected in a thread of its own. The collector may meet a cursor of a connection that waits for the
database in its own thread; resetting the cursor waits for that connection. In the thread of the event loop, all that
the server does then waits too, and with it whoever holds the database: until SQLite gives up after a minute.
"""

import asyncio
import gc
import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from catalog_schemas.errors import ConfigError
from flows.servers.asgi import App, Message, Receive, Send

AUTH = "PREFECT_SERVER_API_AUTH_STRING"
OWNER = "PACKSHOT_SERVER_OWNER"  # the environment variable that holds the id of the process that a server ends with
WRITES = {"DELETE", "PATCH", "POST", "PUT"}
ROOM = 20_000_000  # bytes: a new database takes three megabytes, and a server whose disk is full cannot even log it
PATIENCE_SECONDS = 60.0  # as long as Prefect's client waits for an answer
PAUSES_SECONDS = (0.0, 0.05)  # at random between them
_BRACKETS = re.compile(r"^\[([0-9A-Fa-f:.]+)\](:[0-9]*)?$")  # an address of IPv6, perhaps with a port
_RANGE = re.compile(r"^[0-9A-Fa-f:.\[\]]*:[0-9A-Fa-f:.\[\]]*/")  # such as fd00::/8
ONLY_THIS_SERVER = (b"content-security-policy", b"connect-src 'self' ws: wss:")


def server_command(host: str, port: int, app: str = "with_ui") -> list[str]:
    """The Python module, and its arguments, that serve an application of this file."""
    serves = ["uvicorn", "--factory", f"flows.servers.prefect_server:{app}", "--log-level", "warning"]
    return [*serves, "--host", host, "--port", str(port)]


def prepare_home(home: Path) -> None:
    """Makes the folder in which Prefect keeps what ran. Raises ConfigError where nothing can be kept there, or what was
    kept is damaged."""
    database = home / "prefect.db"
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / "server.log").touch()
        if database.exists() and not os.environ.get("PREFECT_API_DATABASE_CONNECTION_URL"):
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("select count(*) from sqlite_master")
        left = shutil.disk_usage(home).free
    except OSError as error:
        raise ConfigError(
            f"{home}: Prefect's runs cannot be kept there: {error.strerror}; name a folder that can be written to in "
            "PREFECT_HOME, or for packshot serve with --home"
        ) from error
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{database}: Prefect's runs cannot be read: {error}; move the file away: the list of past runs is lost, "
            "and whether the schedule was paused, but no store"
        ) from error
    if left < ROOM:
        raise ConfigError(
            f"{home}: Prefect's runs cannot be kept there: the disk has {left / 1e6:.1f} MB left, expected at least "
            f"{ROOM / 1e6:.0f}; make room, or name another folder"
        )


def answers(api: str) -> bool:
    """Whether a server answers there, whatever it says: `api` is what PREFECT_API_URL holds."""
    # `urlopen` itself would look for an address of IPv6 in brackets where `without_proxy` names it without
    direct = urllib.request.proxy_bypass(urlsplit(api).hostname or "")
    proxies = urllib.request.ProxyHandler({} if direct else None)
    try:
        urllib.request.build_opener(proxies).open(f"{api}/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
    return True


def without_proxy(given: Mapping[str, str], host: str) -> dict[str, str]:
    """The variables that keep clients of `host` from asking a proxy that the environment `given` names, such as a
    company's, which cannot reach it.

    Of IPv6 it names addresses without brackets and no ranges: httpx, Prefect's client, ends where it meets others.
    """
    others = [one.strip() for one in (given.get("no_proxy") or given.get("NO_PROXY", "")).split(",")]
    others = [_BRACKETS.sub(r"\1", one) for one in others if not _RANGE.match(one)]
    listed = "*" if others == ["*"] else ",".join(filter(None, (*others, host)))
    return {"no_proxy": listed, "NO_PROXY": listed}


def with_ui() -> App:
    """The ASGI application with UI, services and the galleries of the store that is named, for `uvicorn --factory`."""
    from flows.servers.galleries import Galleries
    from tasks.reporting.served import SERVED

    server, store = _mended(ephemeral=False), os.environ.get(SERVED)
    return _at_home(Galleries(server, store, os.environ.get(AUTH, "")) if store else server)


def for_one_run() -> App:
    """The API alone, which ends when whoever started it, `OWNER`, has ended, be it before this is called."""
    threading.Thread(target=_end_without, args=[int(os.environ[OWNER])], name="parent", daemon=True).start()
    # Blocks are for the UI, and a fifth of what a server does that begins with a new database.
    os.environ.setdefault("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", "false")
    return _at_home(_mended(ephemeral=True))


def _at_home(app: App) -> App:
    from flows.servers.doors import for_this_machine  # and Starlette, which a server alone needs

    return for_this_machine(app, AUTH)


def _mended(*, ephemeral: bool) -> App:
    from prefect.server.api.server import create_app

    collect_garbage_apart()
    return AsksAgain(stays_home(create_app(ephemeral=ephemeral, final=True)))


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


class AsksAgain:
    """Middleware (ASGI 3.0): asks `app` again what it refused with 503, for about `patience` seconds.

    What was refused once is asked alone: other requests that may write wait until it is through.
    """

    def __init__(self, app: App, patience: float = PATIENCE_SECONDS) -> None:
        self.app = app
        self.patience = patience
        self.turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one connection."""
        if scope["type"] != "http" or scope["method"] not in WRITES:
            await self.app(scope, receive, send)
            return
        deadline = time.monotonic() + self.patience
        asked = await _whole_request(receive)

        async def is_refused(*, last: bool) -> bool:
            return await self._is_refused(dict(scope), _again(asked, receive), send, last=last)

        async with self.turn:
            pass
        if await is_refused(last=False):
            async with self.turn:
                while await is_refused(last=time.monotonic() > deadline):
                    await asyncio.sleep(random.uniform(*PAUSES_SECONDS))

    async def _is_refused(self, scope: Message, receive: Receive, send: Send, *, last: bool) -> bool:
        """Whether the answer was a 503, which is sent on only if it is the `last` try."""
        refused = False

        async def send_answer(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and not last:
                refused = message["status"] == HTTPStatus.SERVICE_UNAVAILABLE
            if not refused:
                await send(message)

        try:
            await self.app(scope, receive, send_answer)
        except Exception:  # raised once more for the log, after it was answered
            if not refused:
                raise
        return refused


async def _whole_request(receive: Receive) -> list[Message]:
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(asked: Iterable[Message], receive: Receive) -> Receive:
    """The request's messages once more, then what comes after them."""
    messages = iter(asked)

    async def receive_again() -> Message:
        for message in messages:
            return dict(message)
        return await receive()

    return receive_again


def stays_home(app: App) -> App:
    """Middleware (ASGI 3.0): tells browsers to connect to this server alone (Content Security Policy Level 3).

    Prefect's UI loads a tracker's settings from its maker even where analytics are off.
    """

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), ONLY_THIS_SERVER]
            await send(message)

        await app(scope, receive, send_with_policy)

    return answer


def collect_garbage_apart() -> None:
    """From now on one thread alone collects this process's garbage: the young each second, all twice a minute."""
    gc.disable()
    gc.collect()
    gc.freeze()  # what is imported by now stays
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    for second in itertools.count(1):
        time.sleep(1)
        gc.collect(2 if second % 30 == 0 else 1)
