"""Starts Prefect's server, its UI and a worker on this machine, with the nightly schedule and the merchandisers' form.

Prefect is imported only once its settings stand, since it reads them when it is imported.
"""

import asyncio
import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

from catalog_schemas.errors import ConfigError
from flows.commands.signals import interruption
from flows.compute.processes import Companion
from flows.presets import absolute_preset, runnable_preset
from flows.servers.doors import claim_port, reachable, refuse_open_doors, url_of
from flows.servers.prefect_server import AUTH, answers, prepare_home, server_command, without_proxy
from tasks.reporting.served import GALLERY, SERVED
from tasks.storage.objects import ObjectStore

if TYPE_CHECKING:
    from flows.servers.deployments import Places

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeOptions:
    """What `packshot serve` is told. Port 0 takes a free one; `home` holds all that the server keeps."""

    catalog: str
    store: str
    preset: str
    host: str = "127.0.0.1"
    port: int = 4200
    cron: str = "0 2 * * *"
    timezone: str = "UTC"
    limit: int = 0
    home: Path = Path("~/.packshot/prefect")


def serve(options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serves until SIGINT, SIGTERM or SIGHUP, then ends worker, runs and server; `say` gets what a person should read.

    Raises CatalogError, ConfigError, ModelError and StoreError for what was asked for, and PackshotError where the
    server or the worker ends unasked.
    """
    devices = runnable_preset(options.preset).compute.devices
    refuse_open_doors(options.host, AUTH, "start runs here")
    home = options.home.expanduser().absolute()
    prepare_home(home)
    with _signals_interrupt(), _alone_in(home) as lock:
        port = claim_port(options.host, options.port)
        environment = _environment(os.environ, options.host, port, home)
        os.environ.clear()
        os.environ.update(environment | {SERVED: ObjectStore(options.store).url})
        say("Starting Prefect's server and a worker: about half a minute.")
        try:
            _serve(options, devices, port, home, lock, say)
        except BaseException as error:
            if interruption(error) is None:
                raise
            say("Stopped. The schedule stands, and runs again when packshot serve is started.")


def _serve(
    options: ServeOptions, devices: int, port: int, home: Path, lock: IO[str], say: Callable[[str], None]
) -> None:
    url = url_of(options.host, port)
    with Companion("server", server_command(options.host, port), home / "server.log", lock) as server:
        from flows.servers import deployments  # while the server starts, too

        nightly = deployments.Nightly(options.cron, options.timezone, options.limit)
        nightly.next_run(datetime.now(UTC))
        places = _places(options)
        server.wait_until(lambda: answers(f"{url}/api"))
        asyncio.run(deployments.cancel_runs(asyncio.run(deployments.runs_going())))  # those of a server that was killed
        asyncio.run(deployments.limit_devices(devices))
        site = asyncio.run(deployments.own_site(Path.cwd()))
        deployed = asyncio.run(deployments.register(places, nightly, site))
        with _worker(server, home, lock, say) as worker:
            worker.wait_until(lambda: asyncio.run(deployments.worker_is_there()))
            found = deployed.told(f"{url}/v2", nightly, url + GALLERY)
            say("\n".join(["", *found, f"Logs: {home}. Ctrl-C stops it all."]))
            _watch(server, worker)


@contextmanager
def _worker(server: Companion, home: Path, lock: IO[str], say: Callable[[str], None]) -> Iterator[Companion]:
    """The worker; at the end it goes first, with its runs, and the server is told what became of them."""
    from flows.servers.deployments import POOL, cancel_runs, runs_going

    work = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never"]
    with Companion("worker", work, home / "worker.log", lock) as worker:
        try:
            yield worker
        finally:
            say("Stopping …")
            going = [] if server.has_ended else asyncio.run(runs_going())
            worker.stop()
            if not server.has_ended:
                asyncio.run(cancel_runs(going))


def _places(options: ServeOptions) -> "Places":
    """What the deployments are filled in with, checked now, since a person at the form could mend none of it."""
    from flows.parameters import RefreshParameters
    from flows.servers.deployments import Places
    from flows.start import start_run

    preset = absolute_preset(options.preset)
    run = start_run(RefreshParameters(catalog=options.catalog, store=options.store, preset=preset))
    return Places(run.catalog, run.store, preset)


def _watch(*companions: Companion) -> None:
    """Never returns: raises PackshotError when one of them ends, and lets KeyboardInterrupt through."""
    while True:
        for companion in companions:
            companion.check()
        time.sleep(1)


def _environment(given: Mapping[str, str], host: str, port: int, home: Path) -> dict[str, str]:
    """This process's variables for server, worker and runs, without what points to another Prefect of the user's."""
    others = ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_PROFILE", "PREFECT_LOGGING_LEVEL", "PREFECT_UI_API_URL")
    kept = {name: value for name, value in given.items() if name not in others}
    ours = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"{url_of(host, port)}/api",
        "PREFECT_UI_API_URL": "/api",  # wherever the browser found the UI: through a tunnel, too
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "2",  # for the GPU: it idles for half of it
        "PREFECT_WORKER_QUERY_SECONDS": "3",  # a person waits for the run that they started
        "PREFECT_LOGGING_EXTRA_LOGGERS": "flows,tasks",  # our own lines on the run's page
    }
    if AUTH in given:
        ours["PREFECT_API_AUTH_STRING"] = given[AUTH]
    return kept | ours | without_proxy(given, reachable(host))


@contextmanager
def _alone_in(home: Path) -> Iterator[IO[str]]:
    """Two servers on one database would start every run twice. The file names the processes that hold it."""
    with (home / "serve.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ConfigError(
                f"another packshot serve uses {home}, or one that was killed has left programs behind; end it, or give "
                f"this one a --home of its own. Programs and their process ids: {', '.join(lock.read().splitlines())}"
            ) from error
        lock.truncate(0)
        yield lock


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGTERM and SIGHUP act as Ctrl-C does; while things come to their end, a second signal changes nothing."""
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in wanted:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in wanted}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
