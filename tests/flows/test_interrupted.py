"""Ctrl-C ends a run, whatever it is at."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.flows.shop import Shop, assert_whole

SECONDS = 300  # on a busy machine
HOURS = {"steps_minimum": 1_000_000, "steps_maximum": 1_000_000}


ON_TWO_DEVICES = {"devices": 2, "device": "cpu"}


@pytest.mark.parametrize(
    "compute", [pytest.param({}, id="here"), pytest.param(ON_TWO_DEVICES, id="on two devices", marks=pytest.mark.soak)]
)
def test_ctrl_c_ends_a_training_of_hours_at_once(shop: Shop, compute: dict[str, object]) -> None:
    for number in range(2):
        shop.add(f"sku-{number}", number)
    shop.changes = {"training": HOURS, "compute": {"snapshot_steps": 1, "cohort_size": 1, **compute}}
    run = subprocess.Popen(
        shop.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c
    )
    try:
        _wait_until_it_trains(run, Path(shop.store))
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=SECONDS)
    finally:
        run.kill()
    assert run.returncode == 130
    assert said.splitlines()[-1].startswith("packshot: interrupted; run the same command again")
    assert_whole(Path(shop.store))


def _heeds_ctrl_c() -> None:
    """What is started in the background of a shell ignores it, and so does all that this starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_until_it_trains(run: "subprocess.Popen[str]", store: Path) -> None:
    until = time.monotonic() + SECONDS
    while not list(store.glob("cache/snapshots/**/*")):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < until
        time.sleep(0.1)
