"""Stages that do what a test asks for, in whatever process they run."""

import logging
import os
import threading
import time

from prefect import task

from catalog_schemas.errors import CatalogError, StoreFull
from flows.compute.ray_cluster import Device
from tasks.runtime.context import RunContext
from tasks.runtime.progress import Progress
from tasks.runtime.stage_options import DEVICE_TAG
from tasks.runtime.threads import each

ERRORS = {
    "full": StoreFull("s3://shop/store: no space left"),
    "catalog": CatalogError("catalog.parquet", ["no column sku", "no column title"]),
    "bug": ZeroDivisionError("division by zero"),
}
inside = 0
counting = threading.Lock()
two = threading.Barrier(2, timeout=300)


@task(name="fail", tags=[DEVICE_TAG])
def fail(context: RunContext, how: str) -> None:
    raise ERRORS[how]


@task(name="die", tags=[DEVICE_TAG])
def die(context: RunContext) -> None:
    os.kill(os.getpid(), 9)


@task(name="count", tags=[DEVICE_TAG])
def count(context: RunContext, steps: int) -> tuple[int, int]:
    """The process, and how many of these tasks it had at once; says what it does."""
    global inside
    with counting:
        inside += 1
        most = inside
    with Progress("counting") as progress:
        for step in range(steps):
            time.sleep(0.1)
            progress.update(step + 1, steps)
            most = max(most, inside)
    logging.getLogger("tasks.count").warning("counted to %d", steps)
    with counting:
        inside -= 1
    return os.getpid(), most


@task(name="tell")
def tell(context: RunContext, name: str) -> None:
    """Says two things in threads of its own, while another of these tasks does."""
    two.wait()
    each(lambda piece: logging.getLogger("tasks.tell").warning("%s %d", name, piece), range(2))
    two.wait()


@task(name="where")
def where(context: RunContext) -> int:
    return os.getpid()


class DeviceThatLoadsNothing(Device):
    """A device's process that is there at once, for stages that need no engine."""

    def ready(self, gpu: bool) -> None:
        pass
