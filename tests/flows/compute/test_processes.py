"""Programs that run beside a command."""

import os
import signal
import time
from pathlib import Path

import psutil

from flows.compute.processes import Companion

STARTS_A_SLEEPER = ["timeit", "-n", "1", "-r", "1", "-s", "import subprocess", "subprocess.run(['sleep', '60'])"]


def test_what_a_killed_program_has_started_ends_as_well(tmp_path: Path) -> None:
    with Companion("worker", STARTS_A_SLEEPER, tmp_path / "log") as worker:
        itself = psutil.Process(worker.process.pid)
        until = time.monotonic() + 30
        while not (started := itself.children()):
            assert time.monotonic() < until
            time.sleep(0.01)
        os.kill(itself.pid, signal.SIGKILL)
        worker.process.wait()
    assert not psutil.wait_procs(started, timeout=5)[1]
