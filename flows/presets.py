"""Presets as a run needs them: what they name is there in the code as well as in the library."""

from configs.preset import load_preset
from configs.schema import RunConfig
from tasks.checks import check_names
from tasks.techniques import technique_names


def runnable_preset(name: str) -> RunConfig:
    """The preset of that name or path. Raises ConfigError with every fault at once."""
    return load_preset(name, checks=check_names(), techniques=technique_names())
