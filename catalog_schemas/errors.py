"""Everything packshot raises on purpose, and the exit code that the command line ends with.

PackshotError                 1
├── CatalogError              2   the catalog file cannot be used: its schema, its format, its size
├── ConfigError               2   a preset, a scene file or a parameter is wrong
├── ModelError                3   the base model cannot be loaded, or is not what the config says
├── StoreError                4   the store cannot be used
│   ├── StoreNotFound         4   no such bucket, container or folder
│   ├── StoreDenied           4   credentials missing, expired or without the right
│   ├── StoreFull             4   no space, or a quota is reached
│   └── StoreUnreachable      4   the network or the server failed; retrying may help
├── WorkerLost                1   a process that worked for the run was killed; retrying may help
└── Rejected                  -   one row, photo or image is unfit: becomes a record, never ends a run

A message names the SKU or the URI, what was expected, what came, and what to do.
"""

from typing import Self

from catalog_schemas.rejection import Reason


class PackshotError(Exception):
    """The root of packshot's own errors: the user can do something about each of them."""

    exit_code = 1


class CatalogError(PackshotError):
    """The catalog file cannot be used; `faults` lists everything wrong with it."""

    exit_code = 2

    def __init__(self, uri: str, faults: list[str]) -> None:
        self.uri = uri
        self.faults = faults
        super().__init__(f"{uri}: the catalog cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))

    def __reduce__(self) -> tuple[type[Self], tuple[str, list[str]]]:
        return type(self), (self.uri, self.faults)  # from process to process


class ConfigError(PackshotError):
    """The configuration is wrong; the message lists every error at once."""

    exit_code = 2


class ModelError(PackshotError):
    """The base model cannot be loaded, or is not what the configuration says."""

    exit_code = 3


class StoreError(PackshotError):
    """The object store cannot be used."""

    exit_code = 4


class StoreNotFound(StoreError):
    """The bucket, container or folder does not exist."""


class StoreDenied(StoreError):
    """Credentials are missing, expired, or lack the right to do this."""


class StoreFull(StoreError):
    """The store has no space left."""


class StoreUnreachable(StoreError):
    """The network or the server failed; the same call may succeed later."""


class WorkerLost(PackshotError):
    """A process that worked for the run ended before its work was done."""


class Rejected(PackshotError):
    """One row, photo or image is unfit. Caught at the row boundary, where it becomes a `Rejection`."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


def first_line(error: BaseException) -> str:
    """What another library's error says, as part of a message of our own: its first line, or its kind."""
    said = str(error).strip()
    return said.splitlines()[0] if said else type(error).__name__
