"""What every benchmark says and keeps: lines on the terminal, rows as a Markdown table, a result's two files."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def command_line(doc: str | None) -> ArgumentParser:
    """A benchmark's command line, described by the first line of its file; its results go to `--results`."""
    parser = ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser


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


def tell(report: dict[str, Any], name: str, markdown: str, folder: Path) -> None:
    """Prints the table and keeps it."""
    say(markdown)
    keep(report, name, markdown, folder)


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
