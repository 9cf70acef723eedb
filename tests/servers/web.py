"""A web server on loopback that hands out photos, or misbehaves in the way that a path asks for."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Page = tuple[int, dict[str, str], bytes]


@dataclass
class WebServer:
    """`pages` are answers by path; `failing` paths answer 503 so many times first; `asked` counts requests.

    Paths of another kind: /endless/… never stops sending, /stall/… never begins, /cut/… breaks off, /trickle/… sends a
    byte now and then. `down` closes every connection without an answer. `busiest`: requests that waited at once.
    """

    endpoint: str
    pages: dict[str, Page] = field(default_factory=dict)
    failing: Counter[str] = field(default_factory=Counter)
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    down: bool = False
    busy: int = 0
    busiest: int = 0

    def photo(self, path: str, data: bytes, **headers: str) -> str:
        """Hands out a photo; returns its address."""
        self.pages[path] = (200, {name.replace("_", "-"): value for name, value in headers.items()}, data)
        return self.endpoint + path

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        self.pages[path] = (status, {"Location": location}, b"")
        return self.endpoint + path


@contextmanager
def web_server(pause: float = 0.0) -> Iterator[WebServer]:
    """Runs it for the length of the block; each answer takes `pause` seconds."""
    stopped, lock = threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with lock:
                site.asked[self.command, self.path] += 1
                site.headers.append({name.lower(): value for name, value in self.headers.items()})
                site.busy += 1
                site.busiest = max(site.busiest, site.busy)
            time.sleep(pause)
            with lock:  # before the answer, whose reader may ask again before this thread runs again
                site.busy -= 1
            try:
                self.answer()
            except OSError:
                self.close_connection = True

        do_HEAD = do_GET

        def answer(self) -> None:
            kind = self.path.split("/")[1]
            if site.down:
                self.close_connection = True
            elif site.failing[self.path] > 0:
                site.failing[self.path] -= 1
                self.reply(503, {}, b"<html>try again</html>")
            elif kind == "stall":
                stopped.wait(30)
                self.close_connection = True
            elif kind in ("endless", "cut", "trickle"):
                self.misbehave(kind) if self.command == "GET" else self.reply(405, {}, b"")
            else:
                self.reply(*site.pages.get(self.path, (404, {}, b"<html>not found</html>")))

        def misbehave(self, kind: str) -> None:
            self.close_connection = True
            self.send_response_only(200)
            self.send_header("Content-Type", "image/jpeg")
            if kind == "cut":
                self.send_header("Content-Length", "100000")
            self.end_headers()
            while not stopped.is_set():
                self.wfile.write(b"\xff\xd8" if kind == "trickle" else b"x" * 65536)
                if kind == "cut":
                    return
                stopped.wait(0.1 if kind == "trickle" else 0)

        def reply(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    site = WebServer(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
