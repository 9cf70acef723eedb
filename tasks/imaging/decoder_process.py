"""Photos decoded in a process of their own, which may be killed by them and takes no secret with it.

A decoder is C code that reads what strangers upload. Here it has an address space and a clock with an end, no
environment but its path, and answers with plain bytes: a size and pixels, or a verdict. A photo that kills it, or makes
it run out of either, is unreadable; the next photo gets a new one. Starting one takes about half a second, handing a
photo over and its pixels back some milliseconds per megapixel, so processes are kept and used again.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging.decode import Decoded, decode

SECONDS = 60.0
MEMORY = 6 << 30  # bytes of address space, several times what 80 megapixels need
_idle: list["_Process"] = []


def decode_apart(data: bytes, pixels_maximum: int, seconds: float = SECONDS, memory: int = MEMORY) -> Decoded:
    """`decode(data, pixels_maximum)` in another process, within `seconds` and `memory` bytes.

    Raises `Rejected` as that does, and REFERENCE_UNREADABLE where the decoder died or was stopped.
    """
    began = time.monotonic()
    for process in (_take(memory), None):  # an idle process may have been killed by something else
        decoded = _attempt(process or _Process(memory), data, pixels_maximum, seconds)
        if decoded is not None:
            return decoded
        if time.monotonic() - began >= seconds:
            break
    raise Rejected(
        Reason.REFERENCE_UNREADABLE,
        f"its decoder was stopped, after {seconds:g} s, at {memory >> 20:,} MiB or by a fault of its own: "
        "save the photo again in an image editor",
    )


def _attempt(process: "_Process", data: bytes, pixels_maximum: int, seconds: float) -> Decoded | None:
    """The photo, or None where the process is no more."""
    timer = threading.Timer(seconds, process.child.kill)
    timer.start()
    try:
        decoded = process.decode(data, pixels_maximum)
    except (EOFError, OSError, ValueError):
        process.child.kill()
        process.child.wait()
        return None
    except Rejected:
        _idle.append(process)
        raise
    finally:
        timer.cancel()
    _idle.append(process)
    return decoded


class _Process:
    """A child that decodes one photo at a time; it ends when its input does, so it never outlives its parent."""

    def __init__(self, memory: int) -> None:
        self.owner, self.memory = os.getpid(), memory
        root = Path(__file__).parents[2]
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-m", "tasks.imaging.decoder_process", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | _library_path(),
        )

    def decode(self, data: bytes, pixels_maximum: int) -> Decoded:
        assert self.child.stdin
        assert self.child.stdout
        _send(self.child.stdin, {"bytes": len(data), "pixels_maximum": pixels_maximum}, data)
        answer = _receive(self.child.stdout)
        if "reason" in answer:
            raise Rejected(Reason(answer["reason"]), str(answer["detail"])[:500])
        height, width = int(answer["height"]), int(answer["width"])
        if not 0 < height * width <= pixels_maximum:
            raise ValueError("a size that was not asked for")
        rgb = np.array(np.frombuffer(_exactly(self.child.stdout, height * width * 3), np.uint8))
        if not answer["alpha"]:
            return Decoded(rgb.reshape(height, width, 3), None)
        alpha = np.frombuffer(_exactly(self.child.stdout, height * width * 4), np.float32).reshape(height, width)
        return Decoded(rgb.reshape(height, width, 3), np.clip(np.nan_to_num(alpha), 0, 1))


def _library_path() -> dict[str, str]:
    """Where this installation keeps its C libraries, if it says so."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}


def _take(memory: int) -> _Process:
    """An idle process with this much memory, or a new one; what another process left behind by forking is not ours."""
    while _idle:
        try:
            process = _idle.pop()
        except IndexError:  # another thread was faster
            break
        if process.owner == os.getpid() and process.memory == memory and process.child.poll() is None:
            return process
    return _Process(memory)


def _serve(memory: int) -> None:
    """Decodes what comes in until there is no more."""
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            asked = _receive(source)
        except EOFError:
            return
        data = _exactly(source, asked["bytes"])
        try:
            decoded = decode(data, asked["pixels_maximum"])
        except Rejected as verdict:
            _send(sink, {"reason": verdict.reason, "detail": verdict.detail})
            continue
        height, width = decoded.rgb.shape[:2]
        alpha = b"" if decoded.alpha is None else decoded.alpha.astype(np.float32).tobytes()
        _send(sink, {"height": height, "width": width, "alpha": bool(alpha)}, decoded.rgb.tobytes(), alpha)


def _send(sink: Any, header: dict[str, Any], *parts: bytes) -> None:
    sink.write(json.dumps(header).encode() + b"\n")
    for part in parts:
        sink.write(part)
    sink.flush()


def _receive(source: Any) -> dict[str, Any]:
    line = source.readline(10_000)
    if not line.endswith(b"\n"):
        raise EOFError
    header: dict[str, Any] = json.loads(line)
    return header


def _exactly(source: BinaryIO | Any, count: int) -> bytes:
    data: bytes = source.read(count)
    if len(data) != count:
        raise EOFError
    return data


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
