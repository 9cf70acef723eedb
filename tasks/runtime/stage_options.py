"""What Prefect is told of a stage: which failures it retries, and whether the stage needs a device."""

from typing import Any

from prefect import Task
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import exponential_backoff

from catalog_schemas.errors import StoreUnreachable, WorkerLost


def _is_transient(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Prefect's retry condition: the network, a server or a killed process has failed, and not what the user gave."""
    try:
        state.result()
    except (StoreUnreachable, WorkerLost, ConnectionError, TimeoutError):
        return True
    except Exception:
        return False
    return False


DEVICE_TAG = "gpu"  # of tasks that train or draw: only as many run at once as there are devices
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(2),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _is_transient,
    "persist_result": False,
}
ON_DEVICE: dict[str, Any] = RETRIES | {"tags": [DEVICE_TAG]}
