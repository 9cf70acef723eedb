"""Which failures Prefect retries: those of the network, servers and killed processes, never those of the user."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from catalog_schemas.errors import StoreUnreachable, WorkerLost


def _is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Prefect's retry condition: the task's exception may go away by itself."""
    try:
        state.result()
    except (StoreUnreachable, WorkerLost, ConnectionError, TimeoutError):
        return True
    except Exception:
        return False
    return False


RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_transient,
    "persist_result": False,
}
