"""Runs that are to be killed: forked from a process that has loaded everything, each in a process group of its own."""

import multiprocessing
import os
from multiprocessing.context import ForkServerProcess

import torch

from flows.parameters import RefreshParameters
from flows.refresh_catalog import refresh_catalog

torch.set_num_threads(1)


def start(parameters: RefreshParameters) -> ForkServerProcess:
    """A run in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_run, args=(parameters,), daemon=True)
    process.start()
    return process


def _run(parameters: RefreshParameters) -> None:
    os.setsid()
    refresh_catalog(parameters)
