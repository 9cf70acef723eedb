"""A `packshot serve` of a test's own: a free port, its own home, ended by its own id."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import psutil

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 240.0
ENDS_WITHIN = 90.0
ANSWERS_WITHIN = 90.0
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = 3 if 9 <= datetime.now(BERLIN).hour < 21 else 15  # a schedule's hour there, hours away from the tests' own runs


@dataclass
class Served:
    """A running server: where its UI and its form are, and what it has said."""

    process: subprocess.Popen[str]
    url: str
    form: str
    review_form: str
    home: Path

    @classmethod
    def start(cls, catalog: Path, store: Path, config: str, home: Path, *more: str) -> Self:
        """Starts it, and waits until it says where to go."""
        home.mkdir(parents=True, exist_ok=True)
        said = home / "said.txt"
        command = [sys.executable, "-m", "flows.commands.command_line", "serve", str(catalog), "--store", str(store)]
        command += ["--config", config, "--home", str(home), "--port", "0", *more]
        with said.open("w") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=_environment(), stdout=output, stderr=subprocess.STDOUT, text=True
            )
        deadline = time.monotonic() + STARTS_WITHIN
        while "Ctrl-C" not in (text := said.read_text()):
            assert process.poll() is None, f"serve ended:\n{text}"
            assert time.monotonic() < deadline, f"serve did not come up:\n{text}"
            time.sleep(0.2)
        forms = re.findall(r"http://\S+/run\b", text)
        assert len(forms) == 2, text
        return cls(process, forms[0].split("/v2")[0], *forms, home)

    def said(self) -> str:
        """What it wrote on the terminal."""
        return (self.home / "said.txt").read_text()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The API's answer: GET without a body, else POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN) as answer:
            return json.load(answer)

    def wait_for_run(self, run_id: str, wanted: set[str], seconds: float) -> dict[str, Any]:
        """The flow run, once its state is one of `wanted`."""
        deadline = time.monotonic() + seconds
        while (run := self.ask(f"/flow_runs/{run_id}"))["state_type"] not in wanted:
            assert time.monotonic() < deadline, f"{run['state']}\n{(self.home / 'worker.log').read_text()}"
            time.sleep(0.3)
        return run

    def descendants(self) -> list[psutil.Process]:
        """Everything it has started: server, worker, runs."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code, after one signal to it alone."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        return self.process.wait(timeout=ENDS_WITHIN)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
