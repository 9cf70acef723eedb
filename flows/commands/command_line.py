"""packshot: product images from a product catalog.

Each command is a thin face of a flow or a stage. With --json a command prints one JSON object and nothing else,
of a failure {"error": …, "exit_code": …}.
Exit codes: 0 done, 1 a bug, 2 the catalog or the configuration, 3 the model, 4 the store, 130 interrupted,
143 ended by SIGTERM.
"""

import argparse
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog_schemas.errors import ConfigError, PackshotError
from flows.commands.import_command import add_import_command
from flows.commands.operator_commands import add_operator_commands, count
from flows.commands.signals import Signals, interruption

if TYPE_CHECKING:
    from flows.parameters import RefreshParameters

QUIET = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",  # a failure is one message of ours, not a traceback of the orchestrator's
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DIFFUSERS_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}
QUEUES = ("EventsWorker", "APILogWorker")  # Prefect's, which count what is left to send at exit, at no logging level
Command = Callable[[argparse.Namespace], dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Without arguments it takes the process's own, and its signals."""
    _open_streams()
    if arguments is not None:
        return _run_command(arguments)
    _speak_utf8()
    signals = Signals()
    exit_code = _run_command(sys.argv[1:])
    signals.hasten(exit_code)
    return exit_code


def _run_command(arguments: Sequence[str]) -> int:
    parsed = _parsed(arguments)
    if parsed.verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request to Prefect's server
    for name, value in QUIET.items():
        if not (parsed.verbose and name.startswith("PREFECT_LOGGING")):
            os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", "Failed to create the Prefect home")  # who needs one says so in one line
    for name in () if parsed.verbose else QUEUES:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        if parsed.needs_home:
            _refuse_homeless()
        with lines_in_a_log(parsed):
            answer = parsed.command(parsed)
        return _answered(parsed, answer)
    except PackshotError as error:
        return _failed(parsed, str(error), error.exit_code)
    except BaseException as error:
        interrupt = interruption(error)
        if interrupt is None:
            raise
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        why = f"{what}; what was finished is kept: run the same command again to go on"
        return _failed(parsed, why, 128 + number)


@contextmanager
def lines_in_a_log(parsed: argparse.Namespace) -> Iterator[None]:
    """Where standard error is no terminal, what would stand beside its bars is written there as lines."""
    if parsed.verbose or parsed.json or sys.stderr.isatty():
        yield
        return
    told, handler = logging.getLogger("tasks.runtime.progress"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    before = told.level, told.propagate
    told.addHandler(handler)
    told.setLevel(logging.INFO)
    told.propagate = False  # Prefect's own handler would write it again
    try:
        yield
    finally:
        told.removeHandler(handler)
        told.setLevel(before[0])
        told.propagate = before[1]


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    for text in arguments:
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # in whose place Python puts such bytes
            parser.error(f"{text!r} holds bytes that are no UTF-8; tables and records could not name it, so rename it")
    return parser.parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object for machines")
    common.add_argument("--verbose", action="store_true", help="log what happens")
    parser = argparse.ArgumentParser(prog="packshot", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--version", action="version", version=f"packshot {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[common], help=text, description=text)
        added.set_defaults(command=command, needs_home=name != "import")  # which has no need of Prefect
        return added

    for name, command, text in (
        ("run", _run, "make what the catalog lacks: train, draw, check, finish, publish"),
        ("plan", _plan, "show what a run would do, and why; touches nothing"),
    ):
        _add_places(add(name, command, text))
    add_import_command(add)
    demo = add("demo", _demo, "write the demo catalog and run it; the second time there is nothing to do")
    demo.add_argument("--folder", default="out/demo", help="where the demo's catalog and store go")
    _add_serve(
        add("serve", _serve, "start server, UI and worker, with the nightly schedule and the merchandisers' forms")
    )
    _add_browse(add("browse", _browse, "show a store's galleries in the browser, and take verdicts, without Prefect"))
    _add_deploy(add("deploy", _deploy, "set up the schedule and the forms on a Prefect server of your own"))
    add_operator_commands(add)
    return parser


def _version() -> str:
    try:
        return version("packshot")
    except PackageNotFoundError:
        return "of a folder that is not installed"


def _add_places(parser: argparse.ArgumentParser) -> None:
    """What a run reads and writes. There is no default configuration, since a run retires the images in the store that
    its configuration has no place for."""
    parser.add_argument("catalog", metavar="CATALOG", help="path or URL of a Parquet catalog")
    parser.add_argument("--store", required=True, help="folder or URL that images and tables are written to")
    parser.add_argument("--config", required=True, help="demo, sd15, sdxl, or the path of a YAML file")
    what = "new or changed products that one run looks at; the others wait for the next one (default: all)"
    parser.add_argument("--limit", type=count, default=0, metavar="N", help=what)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    _add_places(parser)
    _add_schedule(parser)
    _add_door(parser, 4200)
    parser.add_argument("--home", default="~/.packshot/prefect", help="where the server keeps its runs and logs")


def _add_browse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", required=True, help="folder or URL of the store")
    _add_door(parser, 4300)


def _add_door(parser: argparse.ArgumentParser, port: int) -> None:
    """Where the browser finds it."""
    parser.add_argument("--port", type=int, default=port, help="the browser's port; 0 takes a free one")
    parser.add_argument(
        "--host", default="127.0.0.1", help="who may reach it: this machine only, unless told otherwise"
    )


def _add_deploy(parser: argparse.ArgumentParser) -> None:
    _add_places(parser)
    _add_schedule(parser)
    parser.add_argument("--pool", required=True, help="the work pool whose workers do the runs")
    what = "what the pool is told for each run, such as image=shop/packshot:1.2; may be given again"
    parser.add_argument("--job-variable", action="append", default=[], metavar="NAME=VALUE", help=what)
    what = "the devices of all workers: no more tasks train or draw at once (default: the server's limit as it is)"
    parser.add_argument("--devices", type=count, default=0, metavar="N", help=what)


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cron", default="0 2 * * *", help="when the nightly refresh runs")
    parser.add_argument("--timezone", default="UTC", help="the time zone of --cron, such as Europe/Berlin")


def _run(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.servers.own_server import begin_server

    return _ran(parsed, begin_server())


def _ran(parsed: argparse.Namespace, wait_for_server: Callable[[], None]) -> dict[str, Any]:
    """Runs the nightly flow. While the server starts, Prefect and torch are loaded, and what was asked for is looked
    at: whoever has mistyped a name waits for no server."""
    from flows.commands.summary import run_summary
    from flows.refresh_catalog import refresh_catalog
    from flows.servers.own_server import needs_server
    from flows.start import start_run

    asked = _refresh(parsed)
    start_run(asked)
    wait_for_server()
    with needs_server():
        outcome = refresh_catalog(asked)
    return run_summary(outcome)


def _refresh(parsed: argparse.Namespace) -> "RefreshParameters":
    from flows.parameters import RefreshParameters

    where = {"catalog": parsed.catalog, "store": parsed.store, "preset": parsed.config}
    return RefreshParameters(**where, limit=parsed.limit)


def _plan(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.commands.summary import plan_summary
    from flows.start import start_run
    from tasks.plan import make_plan

    parameters = _refresh(parsed)
    return plan_summary(make_plan(start_run(parameters), parameters.products))


def _demo(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.servers.own_server import begin_server

    wait_for_server = begin_server()
    from infra.demo.catalog import write_demo_catalog

    folder = Path(parsed.folder).absolute()
    try:
        parsed.catalog = str(write_demo_catalog(folder / "catalog"))
    except OSError as error:
        raise ConfigError(f"--folder {folder}: cannot be written: {error.strerror}; choose another") from error
    parsed.store, parsed.config, parsed.limit = str(folder / "store"), "demo", 0
    return _ran(parsed, wait_for_server)


def _serve(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.servers.serve import ServeOptions, serve

    options = ServeOptions(
        catalog=parsed.catalog,
        store=parsed.store,
        preset=parsed.config,
        host=parsed.host,
        port=parsed.port,
        cron=parsed.cron,
        timezone=parsed.timezone,
        limit=parsed.limit,
        home=Path(parsed.home),
    )
    serve(options, _told(parsed))
    return {"text": ""}


def _browse(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.servers.browse import BrowseOptions, browse

    browse(BrowseOptions(parsed.store, parsed.host, parsed.port), _told(parsed))
    return {"text": "Stopped."}


def _told(parsed: argparse.Namespace) -> Callable[[str], None]:
    """What prints the lines that a person should read while a server runs."""
    return lambda text: _say(text, sys.stderr if parsed.json else sys.stdout)


def _deploy(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.servers.deploy import DeployOptions, deploy

    deployed, text = deploy(
        DeployOptions(
            catalog=parsed.catalog,
            store=parsed.store,
            preset=parsed.config,
            pool=parsed.pool,
            job_variables=tuple(parsed.job_variable),
            devices=parsed.devices,
            cron=parsed.cron,
            timezone=parsed.timezone,
            limit=parsed.limit,
        )
    )
    return {"text": text, **{name: str(value) for name, value in vars(deployed).items()}}


def _open_streams() -> None:
    """Standard streams that were closed when the command began, as a scheduler may do, lead nowhere from now on."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def _speak_utf8() -> None:
    """Starts the process over in UTF-8 where the locale has Python read names as ASCII or Latin-1: Arrow and Delta
    write files' names in UTF-8, and what is printed of a catalog is UTF-8, too."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, sys.orig_argv, os.environ | {"PYTHONUTF8": "1"})


def _refuse_homeless() -> None:
    """Raises ConfigError where Prefect, which looks for a home as it is imported, would find none."""
    try:
        Path.home()
    except RuntimeError:
        raise ConfigError(
            f"HOME is not set, and the system knows no home of user {os.getuid()}: set HOME to a folder that can be "
            "written to; Prefect keeps its runs there, too, unless PREFECT_HOME names another"
        ) from None


def _answered(parsed: argparse.Namespace, answer: dict[str, Any]) -> int:
    try:
        _say(json.dumps(answer, default=str) if parsed.json else answer["text"], sys.stdout)
    except OSError as error:  # such as a file on a disk that is full
        return _failed(parsed, f"standard output: {error.strerror}", ConfigError.exit_code)
    return int(answer.get("exit_code", 0))


def _failed(parsed: argparse.Namespace, why: str, exit_code: int) -> int:
    with suppress(OSError):  # such as a log on a full disk: the exit code still tells
        _say(f"packshot: {why}", sys.stderr)
    with suppress(OSError):
        if parsed.json:
            _say(json.dumps({"error": why, "exit_code": exit_code}), sys.stdout)
    return exit_code


def _say(text: str, stream: Any) -> None:
    """Writes a line or more. A reader that has gone, as `head` does, is no fault; other faults raise OSError."""
    try:
        stream.write(text.rstrip() + "\n")
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what Python flushes at exit
        if not isinstance(error, BrokenPipeError):
            raise


if __name__ == "__main__":
    sys.exit(main())
