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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from catalog_schemas.errors import ConfigError, PackshotError
from flows.commands.arguments import Command
from flows.commands.import_command import add_import_command
from flows.commands.operator_commands import add_operator_commands
from flows.commands.run_commands import add_run_commands
from flows.commands.server_commands import add_server_commands
from flows.commands.signals import Signals, interruption
from flows.commands.streams import open_streams, say, speak_utf8

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Without arguments it takes the process's own, and its signals."""
    open_streams()
    if arguments is not None:
        return _run_command(arguments)
    speak_utf8()
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

    add_run_commands(add)
    add_import_command(add)
    add_server_commands(add)
    add_operator_commands(add)
    return parser


def _version() -> str:
    try:
        return version("packshot")
    except PackageNotFoundError:
        return "of a folder that is not installed"


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
        say(json.dumps(answer, default=str) if parsed.json else answer["text"], sys.stdout)
    except OSError as error:  # such as a file on a disk that is full
        return _failed(parsed, f"standard output: {error.strerror}", ConfigError.exit_code)
    return int(answer.get("exit_code", 0))


def _failed(parsed: argparse.Namespace, why: str, exit_code: int) -> int:
    with suppress(OSError):  # such as a log on a full disk: the exit code still tells
        say(f"packshot: {why}", sys.stderr)
    with suppress(OSError):
        if parsed.json:
            say(json.dumps({"error": why, "exit_code": exit_code}), sys.stdout)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
