"""The state machine of `machine.py`: 30 examples of 15 steps, and 200 of 50 in `make soak`.

They come in parts that several processes can share. A step is a handful of Delta commits on a store in memory, 10 to
100 ms.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.machine import StoreMachine

PARTS, LONG_PARTS = 2, 8
SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("part", range(PARTS))
def test_any_order_of_work_kills_and_operators_leaves_what_the_model_says(part: int) -> None:
    examples = settings(max_examples=30 // PARTS, stateful_step_count=15, **SLOW)
    run_state_machine_as_test(StoreMachine, settings=examples)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(LONG_PARTS))
def test_so_does_any_long_order(part: int) -> None:
    examples = settings(max_examples=200 // LONG_PARTS, stateful_step_count=50, **SLOW)
    run_state_machine_as_test(StoreMachine, settings=examples)
