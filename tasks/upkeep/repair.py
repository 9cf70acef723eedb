"""Gives up what `verify` has found damaged or lost, so that the next runs make it again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.sku import TO_LOOK_AT
from tasks.publishing.publication import complete_publications
from tasks.runtime.running import UNTOLD, at_work
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import with_retired_at, with_value
from tasks.storage.tables import Tables
from tasks.upkeep.verify import READERS, Fault, fault_of

_COLUMNS = ["key", "sha256", "retired_at"]


@dataclass(frozen=True)
class Repair:
    """How many images and adapters were retired."""

    images: int
    adapters: int


def repair(store: ObjectStore, faults: tuple[Fault, ...], run_id: str, now: datetime) -> Repair:
    """Retires the images and adapters with these faults.

    The next night looks at the images' SKUs again, and makes the images that the catalog still asks for; those that a
    person asked for are made when they are asked for again. Damaged files are deleted: a rollback brings none back, and
    an adapter is trained again when an image needs it. A damaged class adapter is replaced by a new one, with which all
    SKUs of the class that are looked at later begin. What has been made again since the faults were found stays.
    What a killed run had begun to publish is published first. Raises StoreError.
    """
    tables = Tables(store)

    def retire(name: str, rows: pa.Table) -> int:
        return tables.merge(name, with_retired_at(rows, now), run_id, ("retired_at",))

    with at_work(store, run_id, UNTOLD):
        complete_publications(store, now)
        images = _damaged(store, tables.live_images(["image_id", "sku", *_COLUMNS]), "key", faults)
        adapters = tables.live_adapters(["adapter_id", "embedding", *_COLUMNS])
        adapters = pa.concat_tables([_damaged(store, adapters, column, faults) for column in ("key", "embedding")])
        if len(images):  # before the images: a repair that is killed in between finds the faults again
            seen = tables.read("skus", filters=[("sku", "in", images["sku"].unique().to_pylist())])
            tables.merge("skus", with_value(seen, "fingerprint", TO_LOOK_AT), run_id, ("fingerprint",))
        columns = (images["key"], adapters["key"], adapters["embedding"])
        store.delete([key for column in columns for key in column.to_pylist() if key])
        return Repair(retire("images", images), retire("adapters", adapters))


def _damaged(store: ObjectStore, rows: pa.Table, column: str, faults: tuple[Fault, ...]) -> pa.Table:
    """The rows with one of the faults, where what the row says now still does not hold."""
    named = rows.filter(pc.is_in(rows[column], pa.array([fault.key for fault in faults], pa.string())))

    def is_whole(key: str, sha256: str) -> bool:
        return store.exists(key) if column == "embedding" else fault_of(store, "", key, sha256) is None

    with ThreadPoolExecutor(READERS) as readers:
        whole = readers.map(is_whole, named[column].to_pylist(), named["sha256"].to_pylist())
        return named.filter(pa.array([not one for one in whole], pa.bool_()))
