"""Runs that are to be killed: forked from a process that has loaded everything, each in a process group of its own."""

import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import patch

import torch

from flows.compute.ray_cluster import load_engine
from flows.parameters import RefreshParameters
from flows.refresh_catalog import refresh_catalog
from tasks.storage.disk import Disk

torch.set_num_threads(1)
load_engine()  # or each run takes these seconds again


def start(parameters: RefreshParameters, until: str = "") -> ForkServerProcess:
    """A run in a process of its own, which is killed the moment it has written a file of the pattern `until`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(parameters, until), daemon=True)
    process.start()
    return process


def _run(parameters: RefreshParameters, until: str) -> None:
    os.setsid()
    as_ever = Disk.put_in_place

    def put_in_place(disk: Disk, temporary: Path, path: Path) -> None:
        as_ever(disk, temporary, path)
        if until and path.match(until):
            os.killpg(0, signal.SIGKILL)

    with patch.object(Disk, "put_in_place", put_in_place):
        refresh_catalog(parameters)
