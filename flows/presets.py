"""Presets as a run needs them: their checks and techniques are known to the code, their other names to the library."""

from pathlib import Path

from configs.preset import is_path, load_preset
from configs.schema import RunConfig
from tasks.checks import check_names
from tasks.techniques import technique_names


def runnable_preset(name: str) -> RunConfig:
    """The preset of that name or path. Raises ConfigError with every fault at once."""
    return load_preset(name, checks=check_names(), techniques=technique_names())


def absolute_preset(name: str) -> str:
    """The preset's path made absolute, since a worker may run elsewhere; a shipped one's name stays as it is."""
    return str(Path(name).absolute()) if is_path(name) else name
