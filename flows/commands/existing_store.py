"""A store that runs have written to, for commands and forms that are no run themselves."""

import json
from typing import TYPE_CHECKING

from catalog_schemas.errors import StoreNotFound

if TYPE_CHECKING:
    from tasks.storage.objects import ObjectStore


def existing_store(url: str) -> "ObjectStore":
    """The store, opened with the `store.single_writer` of its newest run.

    Raises StoreNotFound where no run has written there, and StoreError.
    """
    from tasks.runtime.running import UNTOLD
    from tasks.storage.objects import open_store
    from tasks.storage.tables import Tables

    store = open_store(url)
    begun = [info for info in store.list("runs") if info.key.endswith("/config.json")]
    if told := [info.key for info in begun if info.size > len(UNTOLD)]:
        newest = json.loads(store.read(max(told)))  # a run's name begins with its time
        return open_store(url, newest["store"]["single_writer"])
    if not begun and Tables(store).version("runs") < 0:
        raise StoreNotFound(f"{store.url}: no run has published here; check --store")
    return store
