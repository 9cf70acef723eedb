"""Homes of Prefect that hold a database: to make one takes a server longer than all else that it does as it begins."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from fcntl import LOCK_EX, flock
from pathlib import Path

import pytest

BEGINS = "from flows.servers.own_server import begin_server; begin_server()()"
PrefectHome = Callable[[Path], Path]


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> PrefectHome:
    """Makes a folder one. The database is that of a server which has begun without one, for all workers together."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "prefect-database"
    folder.mkdir(exist_ok=True)
    database = folder / "empty.db"
    with (folder / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not database.exists():
            _make(database, folder / "home")

    def make(home: Path) -> Path:
        home.mkdir(exist_ok=True)
        (home / "prefect.db").write_bytes(database.read_bytes())
        return home

    return make


def _make(database: Path, home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    own = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    own["PREFECT_SERVER_REGISTER_BLOCKS_ON_START"] = "true"  # servers with a UI, too, begin with a copy
    subprocess.run([sys.executable, "-c", BEGINS], env=environment | own, check=True, timeout=300)
    part = database.with_suffix(".part")
    with closing(sqlite3.connect(home / "prefect.db")) as source, closing(sqlite3.connect(part)) as target:
        source.backup(target)
    part.rename(database)
