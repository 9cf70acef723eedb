"""Ctrl-C ends a run, whatever it is at, and so does SIGTERM; a second one waits for nothing."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from prefect import flow, task
from prefect.futures import PrefectFuture

import flows.compute.workers
from configs.schema import ComputeConfig
from flows.compute.workers import Workers
from tests.flows.shop import Shop, assert_whole

SECONDS = 300  # on a busy machine
HOURS = {"steps_minimum": 1_000_000, "steps_maximum": 1_000_000}
# A command that tells where it is, and stays for ever at the places that its first argument names.
STAYS = """
import atexit, sys, threading
from flows.commands import command_line, run_commands

def tell(place):
    print(place, flush=True)
    if place in sys.argv[2]:
        threading.Event().wait()

def plan(parsed):
    try:
        tell("at work")
    except KeyboardInterrupt as error:
        if "wrapped" in sys.argv[2]:
            raise ValueError("as pydantic does") from error
        raise
    finally:
        tell("ending")
    return {"text": ""}

atexit.register(tell, "exiting")
run_commands._plan = plan
sys.exit(command_line.main())
"""
ON_TWO_DEVICES = {"devices": 2, "device": "cpu"}


@pytest.mark.parametrize(
    ("sent", "code", "compute"),
    [
        pytest.param(signal.SIGINT, 130, {}, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, {}, id="SIGTERM", marks=pytest.mark.soak),
        pytest.param(signal.SIGINT, 130, ON_TWO_DEVICES, id="on two devices", marks=pytest.mark.soak),
    ],
)
def test_a_training_of_hours_is_ended_at_once(
    shop: Shop, sent: signal.Signals, code: int, compute: dict[str, object]
) -> None:
    for number in range(2):
        shop.add(f"sku-{number}", number)
    shop.changes = {"training": HOURS, "compute": {"snapshot_steps": 1, "cohort_size": 1, **compute}}
    run = subprocess.Popen(
        shop.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c
    )
    try:
        _wait_until_it_trains(run, Path(shop.store))
        run.send_signal(sent)
        _, said = run.communicate(timeout=SECONDS)
    finally:
        run.kill()
    assert run.returncode == code
    assert said.splitlines()[-1].endswith("what was finished is kept: run the same command again to go on")
    assert any(key.endswith("ended.json") for key in shop.keys("runs")), "gc need not wait for it"
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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_a_command_at_once(sent: signal.Signals) -> None:
    code, said = _ended("at work, ending", sent)
    assert (code, said) == (128 + sent, "packshot: ended at once; run the same command again to go on\n")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_adds_no_line_once_the_command_has_said_how_it_ended(sent: signal.Signals) -> None:
    code, said = _ended("at work, exiting", sent)
    assert (code, len(said.splitlines())) == (128 + sent, 1), said
    assert _ended("exiting", sent) == (0, "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_library_takes_for_an_error_is_still_one(sent: signal.Signals) -> None:
    assert _ended("at work, wrapped", sent) == _ended("at work", sent)


def _ended(places: str, sent: signal.Signals) -> tuple[int, str]:
    """The exit code, and what a command says on standard error that gets a signal at each of the places."""
    command = [sys.executable, "-c", STAYS, "plan", places, "--store", "store", "--config", "demo"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_heeds_ctrl_c
    ) as process:
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        assert process.stdout
        assert process.stderr
        for place in process.stdout:
            if place.strip() and place.strip() in places:
                process.send_signal(sent)
        said = process.stderr.read()
        watchdog.cancel()
    return process.returncode, said


@pytest.mark.parametrize("stopped_again", [False, True])
def test_a_stopped_run_leaves_behind_what_waits_for_a_device_that_another_run_has(
    prefect: str, stopped_again: bool
) -> None:
    """Prefect's wait heeds no stop; who waited for it was killed, and its run counted as going for gc."""
    begun, had = threading.Event(), threading.Event()

    @task
    def waits() -> None:
        begun.set()
        had.wait(SECONDS)

    def stages(workers: Workers) -> Iterator[PrefectFuture[Any]]:
        yield workers.submit(waits, "draw")
        begun.wait(SECONDS)
        raise KeyboardInterrupt

    @flow
    def run() -> None:
        with Workers(ComputeConfig()) as workers:
            workers.start()
            workers.results(stages(workers), ahead=2)

    watchdog = threading.Timer(SECONDS / 2, had.set)
    watchdog.start()
    try:
        again = {"side_effect": KeyboardInterrupt} if stopped_again else {"wraps": flows.compute.workers.wait}
        with (
            patch.object(flows.compute.workers, "STOPS_WITHIN", 0.1),
            patch.object(flows.compute.workers, "wait", **again),
            pytest.raises(KeyboardInterrupt),
        ):
            run()
        assert not had.is_set()
    finally:
        watchdog.cancel()
        had.set()
