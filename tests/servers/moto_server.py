"""moto's server, where one of two that create an object at once wins: moto looks, then writes; S3 does both at once.

Run as `python -m tests.servers.moto_server PORT`.
"""

import os
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple


class OneAtATime:
    """A WSGI application that answers conditional requests one after the other."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app = app
        self.turn = Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if "HTTP_IF_NONE_MATCH" not in environ:
            return self.app(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(length))  # a slow client keeps nobody waiting
        with self.turn:
            return list(self.app(environ, start_response))


if __name__ == "__main__":
    port = int(sys.argv[1])
    os.environ["MOTO_PORT"] = str(port)
    application = OneAtATime(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler)
