"""What a test runs in processes of its own, apart from the tests so that such a process starts quickly."""

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import pyarrow as pa

from tasks.storage.objects import ObjectStore, open_store
from tasks.storage.table_rows import TABLES
from tasks.storage.tables import Tables

NAMES = [f"k{number}" for number in range(20)]
_PROCESSES = multiprocessing.get_context("forkserver")  # all begin as copies of one that has imported this
_PROCESSES.set_forkserver_preload(["tests.storage.publisher"])


def publish(store: ObjectStore, run_id: str, names: list[str] = NAMES) -> int:
    """Merges images of these names for a run; returns how many were new."""
    schema = TABLES["images"].schema
    rows = [{column: name if column == "image_id" else None for column in schema.names} for name in names]
    return Tables(store).merge("images", pa.Table.from_pylist(rows, schema=schema), run_id)


def start_publisher(url: str, run_id: str) -> tuple[BaseProcess, Connection]:
    """A process that publishes: it says that it is ready, and in the end how many images were new."""
    ours, its = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=_tell_and_publish, args=(its, url, run_id), daemon=True)
    process.start()
    its.close()
    return process, ours


def _tell_and_publish(told: Connection, url: str, run_id: str) -> None:
    told.send("ready")
    told.send(publish(open_store(url), run_id))
