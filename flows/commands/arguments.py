"""What several commands take."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flows.parameters import RefreshParameters

Command = Callable[[argparse.Namespace], dict[str, Any]]
"""What a command does; its answer holds the text for people, and an exit code if not 0."""

Add = Callable[[str, Command, str], argparse.ArgumentParser]
"""Adds a command of that name, with what its help says, and returns its parser."""


def add_places(parser: argparse.ArgumentParser) -> None:
    """What a run reads and writes. There is no default configuration, since a run retires the images in the store that
    its configuration has no place for."""
    parser.add_argument("catalog", metavar="CATALOG", help="path or URL of a Parquet catalog")
    parser.add_argument("--store", required=True, help="folder or URL that images and tables are written to")
    parser.add_argument("--config", required=True, help="demo, sd15, sdxl, or the path of a YAML file")
    what = "new or changed products that one run looks at; the others wait for the next one (default: all)"
    parser.add_argument("--limit", type=count, default=0, metavar="N", help=what)


def count(text: str) -> int:
    """A number of products or devices, as argparse is to read it."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number, 1 or more, not {text!r}")
    return int(text)


def asked_of(parsed: argparse.Namespace) -> "RefreshParameters":
    """What `add_places` asks for, as the nightly flow takes it."""
    from flows.parameters import RefreshParameters

    where = {"catalog": parsed.catalog, "store": parsed.store, "preset": parsed.config}
    return RefreshParameters(**where, limit=parsed.limit)
