"""What work says of itself where nobody sees a bar: enough to know that it lives, and no more."""

import argparse
import logging
from unittest.mock import patch

import prefect.artifacts
import prefect.context
import pytest

from flows.commands.command_line import lines_in_a_log
from tasks.runtime import progress
from tasks.runtime.progress import Progress, announce
from tasks.runtime.threads import each


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which stands still until a test changes it."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(Progress, "line_at", now[0])
    return now


def _asked(**options: bool) -> argparse.Namespace:
    return argparse.Namespace(**({"verbose": False, "json": False} | options))


def test_a_log_has_a_line_a_minute_of_whatever_is_done_then(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with lines_in_a_log(_asked()):
        announce("First images: here")
        for chunk in range(10):
            with Progress(f"preparing photos {chunk}") as shown:
                for done in range(1, 3):
                    clock[0] += 10
                    shown.update(done, 2)
    said = [line.split(" ", 2)[2] for line in capsys.readouterr().err.splitlines()]
    assert said == [
        "First images: here",
        "preparing photos 2: 2 of 2",
        "preparing photos 5: 2 of 2",
        "preparing photos 8: 2 of 2",
    ]


def test_a_task_runs_page_shows_work_from_its_fifth_second_on_and_none_that_is_over_by_then(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each showing is a request to the server, and a run has a task run for every few pictures."""
    shown = list[tuple[object, float]]()
    monkeypatch.setattr(prefect.context.TaskRunContext, "get", lambda: "a task run")
    monkeypatch.setattr(
        prefect.artifacts,
        "create_progress_artifact",
        lambda progress, description: shown.append((description, progress)) or 1,
    )
    monkeypatch.setattr(
        prefect.artifacts, "update_progress_artifact", lambda name, progress: shown.append((name, progress))
    )
    for what, seconds in (("short", 1), ("long", 3)):
        with Progress(what) as told:
            for done in range(1, 5):
                clock[0] += seconds
                told.update(done, 4)
    assert shown == [("long", 50.0), (1, 100.0), (1, 100.0)]


@pytest.mark.parametrize("options", [{"json": True}, {"verbose": True}])
def test_where_machines_read_or_all_is_logged_no_line_is_added(
    options: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger("tasks.runtime.progress").handlers
    with lines_in_a_log(_asked(**options)):
        announce("First images: here")
    assert capsys.readouterr().err == ""
    assert logging.getLogger("tasks.runtime.progress").handlers == before


def test_what_threads_do_is_told_and_can_be_stopped_between_two_pieces() -> None:
    steps: list[tuple[int, int]] = []
    assert each(abs, [-1, -2, -3], lambda *step: steps.append(step)) == [1, 2, 3]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    stopped = patch.object(progress, "check_stopped", side_effect=progress.Stopped)
    with stopped, pytest.raises(progress.Stopped), Progress("photos") as shown:
        each(abs, [-1], shown.update)
