"""The state machine of `machine.py`.

A step is a handful of Delta commits on a store in memory, 50 to 200 ms, so that the tests run 10 examples of 30 steps
in about a minute, and `make soak` the full 200 examples of 50.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.machine import StoreMachine

SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def test_any_order_of_work_kills_and_operators_leaves_what_the_model_says() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=10, stateful_step_count=30, **SLOW))


@pytest.mark.soak
def test_two_hundred_times_fifty_steps_leave_what_the_model_says() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings(max_examples=200, stateful_step_count=50, **SLOW))
