"""The state machine of `machine.py`: 100 examples of 15 steps, in parts that several processes can share.

A step is a handful of Delta commits on a store in memory, 10 to 100 ms.
"""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.crash.machine import StoreMachine

EXAMPLES, STEPS, PARTS = 100, 15, 4
SLOW = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("part", range(PARTS))
def test_any_order_of_work_kills_and_operators_leaves_what_the_model_says(part: int) -> None:
    examples = settings(max_examples=EXAMPLES // PARTS, stateful_step_count=STEPS, **SLOW)
    run_state_machine_as_test(StoreMachine, settings=examples)
