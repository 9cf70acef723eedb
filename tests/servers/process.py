"""Server processes: a port of their own, a folder of their own, ended by who started them."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_held: list[socket.socket] = []


def free_port() -> int:
    """A loopback port on which nobody listens but a server that is told its number: Linux gives it to nobody else while
    a socket of ours has it, and lets those share it that say so (SO_REUSEADDR), as servers do."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    if sys.platform == "linux":
        _held.append(probe)
    else:
        probe.close()
    return port


@contextmanager
def server_process(
    command: Sequence[str],
    home: Path,
    answers: str,
    seconds: float = 300.0,
    log: str = "server.log",
    **environment: str,
) -> Iterator[None]:
    """Runs a server until the block ends, from the moment it answers at a URL, with whatever status.

    Without a URL it does not wait. What the server prints goes to the file `log` in `home`.
    """
    home.mkdir(parents=True, exist_ok=True)
    own = {"HOME": str(home), "PATH": os.environ.get("PATH", "")} | environment
    with (home / log).open("wb") as said:
        process = subprocess.Popen(list(command), cwd=home, env=own, stdout=said, stderr=subprocess.STDOUT)
        try:
            if answers:
                _wait(process, answers, home / log, seconds)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], answers: str, log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(answers, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{answers}: the server did not start; its log: {log.read_text()[-2000:]}")
