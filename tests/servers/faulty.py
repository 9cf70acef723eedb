"""A proxy on loopback that passes requests on to a real server, or fails in the way that a test asks for."""

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PASS = "pass"  # as the server answers
ERROR = "503"  # answer 503, without asking the server
THROTTLE = "429"  # answer 429
REFUSE = "drop before"  # close the connection, the server has seen nothing
RESET = "reset"  # the same, as a host that has gone does it
LOSE_REPLY = "reply lost"  # the server has done it, the connection closes without an answer
CUT = "cut body"  # half of the answer's body
STALL = "stall"  # say nothing for `STALL_SECONDS`
EXPIRED = "400 ExpiredToken"  # answer with that status, and with that code where S3 has room for it
UNCONDITIONAL = "unconditional"  # pass it on without its condition, as servers that lack conditions do
STALL_SECONDS = 60.0

Decide = Callable[[str, str], str]  # (method, path with query) -> one of the above
Headers = dict[str, str]
_HOP = {"transfer-encoding", "connection", "content-length", "keep-alive"}


class Translator:
    """What stands between a client and a server that speak a little differently; this one changes nothing."""

    def ask(self, method: str, path: str, headers: Headers, body: bytes) -> tuple[str, str, Headers, bytes]:
        """A request as the server is to see it."""
        return method, path, headers, body

    def answer(self, method: str, path: str, headers: Headers, data: bytes) -> tuple[Headers, bytes]:
        """The answer to that request as the client is to see it."""
        return headers, data


@contextmanager
def faulty_proxy(upstream: str, decide: Decide, translator: Translator | None = None) -> Iterator[str]:
    """Runs the proxy for the length of the block; yields its endpoint."""
    host = urlsplit(upstream).netloc
    stopped, between = threading.Event(), translator or Translator()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # an answer's head and body are two writes: the second would wait 40 ms

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = decide(self.command, self.path)
            if fault in (ERROR, THROTTLE):
                self.reply(int(fault), {}, b"")
            elif re.match(r"\d{3} ", fault):
                status, code = fault.split()
                said = "" if self.command == "HEAD" else f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
                self.reply(int(status), {"Content-Type": "application/xml"}, said.encode())
            elif fault == STALL:
                stopped.wait(STALL_SECONDS)
                self.close_connection = True
            elif fault in (REFUSE, RESET):
                if fault == RESET:  # without lingering, closing sends a reset
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
            else:
                self.relay(fault, body)

        def relay(self, fault: str, body: bytes) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            method, path, headers, body = between.ask(self.command, self.path, headers, body)
            if fault == UNCONDITIONAL:
                headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
                path = path.replace("&ifGenerationMatch=0", "")
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if fault == LOSE_REPLY:
                self.close_connection = True
                return
            headers, data = between.answer(self.command, self.path, dict(answer.getheaders()), data)
            self.reply(answer.status, headers, data, cut=fault == CUT)

        def reply(self, status: int, headers: dict[str, str], data: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            said = next((value for name, value in headers.items() if name.lower() == "content-length"), "0")
            length = said if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that is gone is no fault of the proxy, and none to talk about."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def first(fault: str, times: int = 1, method: str = "", after: float = 0.0) -> Decide:
    """Decides on `fault` for the first `times` requests with that method, and lets the rest pass."""
    lock, left = threading.Lock(), [times]

    def decide(asked: str, _path: str) -> str:
        with lock:
            if method in ("", asked) and left[0] > 0:
                left[0] -= 1
                time.sleep(after)
                return fault
        return PASS

    return decide
