"""The configuration of runs on the tiny model: everything small, everything real."""

from pathlib import Path
from typing import Any

import yaml


def tiny_config(folder: Path, /, **changes: Any) -> dict[str, Any]:
    """The preset's values; a change replaces a section's fields, or the whole value where that is no mapping."""
    values: dict[str, Any] = {
        "model": {"source": str(folder)},
        "training": {
            "rank": 4,
            "alpha": 4,
            "steps_per_photo": 1,
            "steps_minimum": 4,
            "steps_maximum": 8,
            "learning_rate": 1.0e-3,
        },
        "generation": {"steps": 3, "guidance": 3.0, "scheduler": "dpm"},
        "variants": {
            "scenes": ["wooden-table", "kitchen-counter", "garden-grass"],
            "colours": ["original", "sage"],
            "techniques": ["regenerate", "composite", "packshot"],
            "limit_per_sku": 6,
            "attempts": 1,
        },
        "checks": [{"name": "contrast", "minimum": 2}],
        "compute": {"cohort_size": 2, "chunk_size": 4, "batch_size": 4},
    }
    for section, change in changes.items():
        merged = isinstance(change, dict) and isinstance(values.get(section), dict)
        values[section] = values[section] | change if merged else change
    return values


def write_tiny_config(file: Path, model: Path, /, **changes: Any) -> Path:
    """The same as a preset file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(tiny_config(model, **changes)))
    return file
