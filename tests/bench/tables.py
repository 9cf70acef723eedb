"""Rows of a benchmark as a Markdown table."""

from typing import Any


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
