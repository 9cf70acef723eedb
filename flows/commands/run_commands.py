"""The commands that run the stages: run, plan, demo."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catalog_schemas.errors import ConfigError
from flows.commands.arguments import Add, add_places, asked_of


def add_run_commands(add: Add) -> None:
    """Adds them to the command line."""
    add_places(add("run", _run, "make what the catalog lacks: train, draw, check, finish, publish"))
    add_places(add("plan", _plan, "show what a run would do, and why; touches nothing"))
    demo = add("demo", _demo, "write the demo catalog and run it; the second time there is nothing to do")
    demo.add_argument("--folder", default="out/demo", help="where the demo's catalog and store go")


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

    asked = asked_of(parsed)
    start_run(asked)
    wait_for_server()
    with needs_server():
        outcome = refresh_catalog(asked)
    return run_summary(outcome)


def _plan(parsed: argparse.Namespace) -> dict[str, Any]:
    from flows.commands.summary import plan_summary
    from flows.start import start_run
    from tasks.plan import make_plan

    parameters = asked_of(parsed)
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
