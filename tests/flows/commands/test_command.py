"""The command as a process of its own: what it prints, how it exits, and what it loads."""

import json
import os
import shlex
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from flows.commands.command_line import QUIET, main
from flows.servers import own_server
from tests.flows.servers.late_server import OWNER_HAS_ENDED
from tests.flows.shop import Shop
from tests.servers.prefect_home import PrefectHome
from tests.servers.process import free_port

STORE_FAILED = 4
SECONDS = 300  # on a busy machine
# The command where Prefect's server takes no event before the process ends, as on a machine that is busy.
LATE_SERVER = """
import asyncio, os, sys
from flows.commands.command_line import QUIET, main
os.environ.update(QUIET)  # Prefect reads it when it is imported, which is here
from prefect.events.worker import EventsWorker
send = EventsWorker._main_loop
async def late(self):
    while not self._stopped:
        await asyncio.sleep(0.01)
    await send(self)
EventsWorker._main_loop = late
sys.exit(main(sys.argv[1:]))
"""
HOMELESS = """
import pwd, sys
from flows.commands.command_line import main
def getpwuid(number):
    raise KeyError(number)
pwd.getpwuid = getpwuid
sys.exit(main(sys.argv[1:]))
"""
BEGINS = """
from flows.servers.own_server import begin_server
begin_server()()
print("ready", flush=True)
input()
"""
# A command that is killed before its server, which takes seconds to load, can see whose it is.
KILLED_AT_ONCE = """
import os, psutil
from flows.servers import own_server
own_server.server_command = lambda *_: ["tests.flows.servers.late_server"]
own_server.begin_server()
print(psutil.Process().children()[0].pid, flush=True)
os.kill(os.getpid(), 9)
"""
HEAVY = """
import sys
from flows.commands.command_line import main
code = main(sys.argv[1:])
sys.exit(code or " ".join({"torch", "diffusers", "transformers"} & set(sys.modules)) or 0)
"""


def test_a_run_that_finds_nothing_to_do_prints_one_json_object_and_loads_nothing_heavy(
    open_shop: Shop, prefect_home: PrefectHome
) -> None:
    """The boundary itself: a server of the command's own, standard output for machines, exit code 0.

    The environment names a proxy, as a company's machines do, and it reaches no server of this machine's.
    """
    home, proxy = prefect_home(open_shop.folder / "prefect"), f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), proxy)
    python, _, _, *arguments = open_shop.command()
    done = _process([python, "-c", HEAVY, *arguments], _without_a_server(home) | proxies)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["skus_input"], answer["skus_skipped"], answer["images_planned"]) == (3, 3, 0)
    assert done.stderr == ""
    with sqlite3.connect(home / "prefect.db") as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("COMPLETED",)]


def test_a_prefect_home_that_cannot_be_made_is_named(open_shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    home = tmp_path / "home" / "prefect"
    done = _process(open_shop.command(), _without_a_server(home))
    _says_the_same_as_json(done, 2)
    assert done.stderr.startswith(f"packshot: {home}: Prefect's runs cannot be kept there")
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("verb", ["run", "plan", "serve"])
def test_a_user_without_a_home_is_told_to_set_one(open_shop: Shop, tmp_path: Path, verb: str) -> None:
    """As in a container that is started with a number for a user."""
    python, _, _, *arguments = open_shop.command(verb)
    environment = _without_a_server(tmp_path)
    for lacks in (("HOME", "PREFECT_HOME"), ("HOME",)):
        known = {name: value for name, value in environment.items() if name not in lacks}
        done = _process([python, "-c", HOMELESS, *arguments], known)
        _says_the_same_as_json(done, 2)
        assert done.stderr.startswith("packshot: HOME is not set")
        assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_database_of_prefect_that_cannot_be_read_is_named(open_shop: Shop, tmp_path: Path) -> None:
    database = tmp_path / "prefect.db"
    database.write_bytes(b"no database" * 1000)
    done = _process(open_shop.command(), _without_a_server(tmp_path))
    _says_the_same_as_json(done, 2)
    assert done.stderr.startswith(f"packshot: {database}: Prefect's runs cannot be read: file is not a database")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_server_that_is_not_there_is_named(open_shop: Shop) -> None:
    api = f"http://127.0.0.1:{free_port()}/api"
    done = _process(open_shop.command(), dict(os.environ) | {"PREFECT_API_URL": api})
    _says_the_same_as_json(done, 2)
    assert done.stderr.startswith(f"packshot: Prefect's server at {api} does not answer")
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_server_ends_with_a_command_that_is_killed(tmp_path: Path, prefect_home: PrefectHome) -> None:
    begins = [sys.executable, "-c", BEGINS]
    with subprocess.Popen(
        begins, env=_without_a_server(prefect_home(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout
        assert command.stdout.readline() == "ready\n", (tmp_path / "server.log").read_text()
        started = psutil.Process(command.pid).children(recursive=True)
        assert started
        command.kill()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive


def test_the_server_ends_with_a_command_that_is_killed_before_the_server_is_loaded(tmp_path: Path) -> None:
    environment = _without_a_server(tmp_path)
    told = subprocess.run([sys.executable, "-c", KILLED_AT_ONCE], env=environment, capture_output=True, text=True)
    server = psutil.Process(int(told.stdout))
    (tmp_path / OWNER_HAS_ENDED).touch()
    _, alive = psutil.wait_procs([server], timeout=SECONDS)
    for process in alive:
        process.kill()
    assert not alive


def test_a_plan_loads_nothing_heavy(open_shop: Shop) -> None:
    python, _, _, *arguments = open_shop.command("plan")
    done = _process([python, "-c", HEAVY, *arguments], dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_streams_change_neither_what_is_done_nor_the_exit_code(finished: Shop, tmp_path: Path) -> None:
    command = shlex.join(_without_store(finished, tmp_path).command("plan")) + " <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (STORE_FAILED, "", "")


def test_names_hold_umlauts_whatever_the_locale_says(tmp_path: Path) -> None:
    """As before UTF-8, or as a scheduler sets it."""
    file = tmp_path / "tässchen.csv"
    file.write_text("sku,title,class_noun,references\ntä,Täßchen,mug,\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "flows.commands.command_line",
        "import",
        "csv",
        str(file),
        "--out",
        f"{file}.parquet",
    ]
    done = _process(command, {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{file}.parquet" in done.stdout


def test_a_name_that_is_no_utf8_is_told_before_anything_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", "caf\udce9/catalog.parquet", "--store", "store", "--config", "demo"])
    assert ended.value.code == 2
    assert r"'caf\udce9/catalog.parquet' holds bytes that are no UTF-8" in capsys.readouterr().err


def test_a_process_of_its_own_says_the_same_one_line_also_where_events_are_still_to_be_sent(
    finished: Shop, tmp_path: Path
) -> None:
    """The other tests call `main` where the tests have quieted Prefect; here the command must do so itself."""
    shop = _without_store(finished, tmp_path)
    python, _, _, *arguments = shop.command()
    assert _says_in_a_process([python, "-c", LATE_SERVER, *arguments]).startswith(f"packshot: {shop.store}")


def _without_a_server(home: Path) -> dict[str, str]:
    """This process's environment, where it names no server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {"PREFECT_HOME": str(home), "OMP_NUM_THREADS": "1"}


def _without_store(shop: Shop, folder: Path) -> Shop:
    """The same shop, its store a file."""
    (folder / "store").write_text("a file")
    return replace(shop, store=str(folder / "store"))


def _says_in_a_process(command: list[str]) -> str:
    """The one line of a command that must end with the store's exit code."""
    said = _process(command, {name: value for name, value in os.environ.items() if name not in QUIET})
    _says_the_same_as_json(said, STORE_FAILED)
    assert len(said.stderr.splitlines()) == 1, said.stderr
    return said.stderr


def _says_the_same_as_json(done: "subprocess.CompletedProcess[str]", code: int) -> None:
    assert done.returncode == code, done.stderr
    answer = json.loads(done.stdout)
    assert done.stderr == f"packshot: {answer['error']}\n"
    assert answer["exit_code"] == code


def _process(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.parametrize(("config", "wrong"), [("demo", "expected a Parquet file"), ("none.yaml", "no such preset")])
def test_what_cannot_be_run_is_told_before_the_server_is_waited_for(
    config: str, wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(own_server, "begin_server", lambda: lambda: pytest.fail("waited"))
    asked = ["run", str(tmp_path / "none.parquet"), "--store", str(tmp_path / "store"), "--config", config]
    assert main(asked) == 2
    assert wrong in capsys.readouterr().err
