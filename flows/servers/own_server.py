"""A Prefect server for one command, where the user's settings name none.

Prefect would start one by itself, but only when the flow begins, and without what
`flows/servers/prefect_server.py` mends.
"""

import atexit
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog_schemas.errors import ConfigError, PackshotError
from flows.compute.processes import Companion
from flows.servers.prefect_server import OWNER, answers, prepare_home, server_command, without_proxy

HOST = "127.0.0.1"


def begin_server() -> Callable[[], None]:
    """Starts a server, which ends with this process; returns what waits until it answers.

    Its runs and its log are kept in PREFECT_HOME. Raises ConfigError where they cannot be kept there; what waits raises
    PackshotError where the server ends, or takes too long.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, get_current_settings

    if PREFECT_API_URL.value():
        return lambda: None
    home = Path(PREFECT_HOME.value())
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
    prepare_home(home)
    os.environ[OWNER] = str(os.getpid())
    server = Companion("server", server_command(HOST, port, "for_one_run"), home / "server.log")
    atexit.register(server.stop)  # the last of all that end, for Prefect sends what is left as the process ends
    api = f"http://{HOST}:{port}/api"
    os.environ.update(without_proxy(os.environ, HOST) | {"PREFECT_API_URL": api})
    refresh_global_settings_context()
    # Nobody watches for heartbeats here, and a flow that has ended waits up to a second for their thread to wake up.
    get_current_settings().flows.heartbeat_frequency = None
    return lambda: server.wait_until(lambda: answers(api))


@contextmanager
def needs_server() -> Iterator[None]:
    """Raises ConfigError where what is done here fails and the server that it needs does not answer."""
    from prefect.settings import PREFECT_API_URL

    try:
        yield
    except PackshotError:
        raise
    except Exception as error:
        api = PREFECT_API_URL.value()
        if answers(api):
            raise
        raise ConfigError(
            f"Prefect's server at {api} does not answer; start it, or unset PREFECT_API_URL for one of this command's "
            "own, and run the same command again to go on: what was finished is kept"
        ) from error
