"""What every stage of a run knows: who it is, what it was told, and which base model it works with."""

import platform
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from catalog_schemas.errors import ModelError, StoreError
from catalog_schemas.identity import content_id
from configs.library import Library, load_library
from configs.schema import RunConfig
from tasks.runtime.models import ModelFolder, find_model_once
from tasks.storage.objects import ObjectStore, open_store

SHARED = "use a bucket's URL, or a folder that all machines share"


@dataclass(frozen=True)
class RunContext:
    """Passed to every stage; small and plain, so that it travels to any worker. `origin`: see `ImageRecord`.

    `machine` is where the run began.
    """

    run_id: str
    catalog: str
    store: str
    config: RunConfig
    model: ModelFolder
    started_at: datetime
    origin: Literal["catalog", "request"] = "catalog"
    machine: str = field(default_factory=platform.node)

    def open(self) -> ObjectStore:
        """The store of this run."""
        return open_store(self.store, self.config.store.single_writer)

    def arrived(self) -> "RunContext":
        """The context on the machine where this is called, which need not be where the run began: with the model there.

        Raises StoreError where the store or the catalog is another one there, or none, and ModelError for the model.
        """
        here = platform.node()
        if here == self.machine:
            return self
        if not self.open().exists(config_key(self.run_id)):
            raise StoreError(f"{self.store} on {here} is not the store that the run writes on {self.machine}: {SHARED}")
        if "://" not in self.catalog and not Path(self.catalog).exists():
            raise StoreError(f"{self.catalog} is not on {here}, but the run reads it on {self.machine}: {SHARED}")
        model = find_model_once(self.config.model)
        for setting, own in model.identities.items():
            if own != (begun := self.model.identities[setting]):
                raise ModelError(
                    f"{setting} on {here} is {own or 'none'}, but {begun or 'none'} on {self.machine}: give all "
                    "machines the same files, or name them by a store URL or a hub id"
                )
        return replace(self, model=model, machine=here)

    def library(self) -> Library:
        """The scenes, backgrounds, colours and channels that this run can name."""
        return load_library(*self.config.library)

    @property
    def catalog_name(self) -> str:
        """What the store remembers this catalog's SKUs and photos by."""
        return self.config.store.catalog_name or self.catalog

    @property
    def resolution(self) -> int:
        """Pixels of a side in training and drafts."""
        return self.config.model.resolution or self.model.resolution


def new_run_id(now: datetime) -> str:
    """A name that sorts by time and that two runs do not share."""
    return f"{now:%Y%m%d-%H%M%S}-{content_id(now.isoformat())[:6]}"


def config_key(run_id: str) -> str:
    """Where a run writes what it was told, before anything else."""
    return f"runs/{run_id}/config.json"
