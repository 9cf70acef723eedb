"""What becomes of the runs that `packshot serve` ends."""

import asyncio

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Cancelled, Completed, Crashed, Failed, Running

from flows.servers.deployments import ENDED, cancel_runs


@flow
def night() -> None:
    """Never run: its runs are put into states by hand."""


async def _after_a_stop(state: State) -> State:
    async with get_client() as client:
        run = await client.create_flow_run(night, state=Running())
        if not state.is_running():
            await client.set_flow_run_state(run.id, state, force=True)
        await cancel_runs([run.id])
        found = (await client.read_flow_run(run.id)).state
    assert found is not None
    return found


@pytest.mark.parametrize("state", [Running(), Crashed(), Failed()], ids=["running", "crashed", "failed"])
def test_a_run_that_was_stopped_is_cancelled_however_it_took_that(prefect: str, state: State) -> None:
    """Its helpers are ended too, and one that goes a moment before the run itself is a failure to it."""
    found = asyncio.run(_after_a_stop(state))
    assert (found.type, found.message) == (StateType.CANCELLED, ENDED)


@pytest.mark.parametrize("state", [Completed(), Cancelled(message="by a person")], ids=["completed", "cancelled"])
def test_a_run_that_came_to_its_own_end_keeps_it(prefect: str, state: State) -> None:
    found = asyncio.run(_after_a_stop(state))
    assert (found.type, found.message) == (state.type, state.message)
