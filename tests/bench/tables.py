"""What every benchmark says and keeps: lines on the terminal, rows as a Markdown table, a result's two files."""

import json
import sys
from pathlib import Path
from typing import Any


def say(line: str) -> None:
    """A line on the terminal, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def keep(report: dict[str, Any], name: str, markdown: str, folder: Path, silent: bool = False) -> None:
    """`<date>-<name>-<commit>.json` in `folder`, and the same for people beside it; a later call replaces them."""
    commit = report["commit"].replace("+", "-changed")
    path = folder / f"{report['date'][:10]}-{name}-{commit}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown)
    if not silent:
        say(f"written to {path} and .md")


def as_markdown(rows: list[dict[str, Any]]) -> list[str]:
    """The table's lines; a column for each key, in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return lines + ["| " + " | ".join(as_text(row.get(column, "")) for column in columns) + " |" for row in rows]


def as_text(value: Any) -> str:
    """Three digits of a number; nothing for None."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
