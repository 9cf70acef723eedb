"""The commands for browsers and schedules: serve, browse, deploy."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flows.commands.arguments import Add, add_places, count
from flows.commands.streams import say


def add_server_commands(add: Add) -> None:
    """Adds them to the command line."""
    _add_serve(
        add("serve", _serve, "start server, UI and worker, with the nightly schedule and the merchandisers' forms")
    )
    _add_browse(add("browse", _browse, "show a store's galleries in the browser, and take verdicts, without Prefect"))
    _add_deploy(add("deploy", _deploy, "set up the schedule and the forms on a Prefect server of your own"))


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add_places(parser)
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
    add_places(parser)
    _add_schedule(parser)
    parser.add_argument("--pool", required=True, help="the work pool whose workers do the runs")
    what = "what the pool is told for each run, such as image=shop/packshot:1.2; may be given again"
    parser.add_argument("--job-variable", action="append", default=[], metavar="NAME=VALUE", help=what)
    what = "the devices of all workers: no more tasks train or draw at once (default: the server's limit as it is)"
    parser.add_argument("--devices", type=count, default=0, metavar="N", help=what)


def _add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cron", default="0 2 * * *", help="when the nightly refresh runs")
    parser.add_argument("--timezone", default="UTC", help="the time zone of --cron, such as Europe/Berlin")


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
    return lambda text: say(text, sys.stderr if parsed.json else sys.stdout)


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
