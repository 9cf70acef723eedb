"""What is added as one file in a folder, and found by the file's name: techniques, checks, importers."""

import importlib
import pkgutil
from functools import cache
from typing import Any

from typing_extensions import get_protocol_members

from catalog_schemas.errors import ConfigError
from configs.reading import unknown


def names_in(package: str) -> list[str]:
    """The files of a package's folder, without loading them; one that begins with "_" is a helper of the others."""
    path = importlib.import_module(package).__path__
    found = (module.name for module in pkgutil.iter_modules(path) if not module.ispkg)
    return sorted(name for name in found if not name.startswith("_"))


@cache
def find(package: str, name: str, place: str, contract: type) -> Any:
    """The module of that name, which keeps the `contract`, a Protocol; errors of loading it are raised unchanged.

    Raises ConfigError where there is no such file, in a sentence that begins with `place`, or where it lacks something.
    """
    if faults := unknown([name], names_in(package), place, contract.__name__.lower()):
        raise ConfigError(faults[0])
    module = importlib.import_module(f"{package}.{name}")
    refuse_without(module, contract)
    return module


def refuse_without(module: Any, contract: type) -> None:
    """Raises ConfigError where the module lacks something that the contract asks of it."""
    lacking = sorted(part for part in get_protocol_members(contract) if not hasattr(module, part))
    if lacking:
        folder = module.__package__.replace(".", "/")
        what = f"{contract.__name__} in {folder}/__init__.py says what is asked of it"
        raise ConfigError(f"{folder}/{module.__name__.rpartition('.')[2]}.py lacks {', '.join(lacking)}: {what}")
