"""What the JSON files of a Delta table's log say."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Commit:
    """A commit of a table: the version that it made, when, and the run it is of, "" where it only made columns."""

    version: int
    at: datetime
    run_id: str


def commit_of(version: int, log: bytes) -> Commit:
    """The commit that the file of that version tells of."""
    actions = list(_actions(log))
    stamp = next((one["commitInfo"]["timestamp"] for one in actions if "commitInfo" in one), 0)
    run_id = next((one["txn"]["appId"] for one in actions if "txn" in one), "")
    return Commit(version, datetime.fromtimestamp(stamp / 1000, UTC), run_id)


def removed(log: bytes) -> set[str]:
    """The data files that a commit takes out."""
    return {action["remove"]["path"] for action in _actions(log) if "remove" in action}


def _actions(log: bytes) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in log.splitlines() if line)
