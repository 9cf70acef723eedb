"""Makes an earlier version of the published images current again, as a new commit on top."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.publishing.publication import complete_publications, list_again
from tasks.publishing.reviews import is_rejected
from tasks.runtime.running import UNTOLD, at_work
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.table_rows import with_retired_at
from tasks.storage.tables import Tables
from tasks.upkeep.verify import READERS

_COLUMNS = ["image_id", "sku", "slot", "variant_id", "key", "retired_at"]  # the rest of a row takes ten times as much


@dataclass(frozen=True)
class Rollback:
    """How many images came back, and how many were retired."""

    revived: int
    retired: int


@dataclass(frozen=True)
class Version:
    """A version of `tables/images` that a rollback can bring back: when it came, of which run, and its live images."""

    version: int
    at: datetime
    run_id: str
    images: int


def versions(store: ObjectStore) -> Iterator[Version]:
    """The versions with live images, the last one first. Raises StoreError."""
    tables = Tables(store)
    for one in tables.commits("images"):
        try:
            images = tables.read("images", ["retired_at"], version=one.version)["retired_at"].null_count
        except ObjectMissing:  # garbage collection keeps none that are older
            return
        if images:
            yield Version(one.version, one.at, one.run_id, images)


def roll_back(store: ObjectStore, version: int, run_id: str, now: datetime) -> Rollback:
    """The images live at `version` of `tables/images` are live again, less those rejected since; others are retired.

    What a killed run had begun to publish is published first, or else the next run would put it on top. The next
    nightly run leaves it all so, SKU by SKU, until something about the SKU changes; those that their catalog lists no
    more it retires again. Raises StoreError where the version is not there, where it would leave no image at all, or
    where garbage collection has deleted the bytes of an image that would come back; then nothing is changed.
    """
    with at_work(store, run_id, UNTOLD):
        complete_publications(store, now)
        return _roll_back(store, version, run_id, now)


def _roll_back(store: ObjectStore, version: int, run_id: str, now: datetime) -> Rollback:
    tables, done = Tables(store), Rollback(0, 0)
    wanted = _live_at(tables, version)

    def changed() -> pa.Table:
        nonlocal done
        rows = tables.read("images", _COLUMNS)
        is_live = pc.is_null(rows["retired_at"])
        is_wanted = pc.and_(pc.is_in(rows["image_id"], wanted), pc.invert(is_rejected(tables, rows)))
        revived = rows.filter(pc.and_(is_wanted, pc.invert(is_live)))
        retired = rows.filter(pc.and_not(is_live, is_wanted))
        if len(retired) and not pc.any(is_wanted).as_py():
            raise StoreError(
                f"{tables.uri('images')}: of version {version} no image would be live, and the {len(retired):,} that "
                "are would be taken down; choose a later one"
            )
        _refuse_if_lost(store, revived["key"].to_pylist(), version)
        list_again(tables, revived["sku"].unique().to_pylist(), run_id)
        done = Rollback(len(revived), len(retired))
        return pa.concat_tables([with_retired_at(revived, None), with_retired_at(retired, now)])

    tables.merge("images", changed, run_id, ("retired_at",))
    return done


def _live_at(tables: Tables, version: int) -> pa.ChunkedArray:
    """The ids of the images that were live at a version."""
    last = tables.version("images")
    if not 0 <= version <= last:
        has = f"has the versions 0 to {last}" if last >= 0 else "does not exist yet"
        raise StoreError(f"{tables.uri('images')}: {has}; there is no version {version}")
    try:
        then = tables.read("images", ["image_id", "retired_at"], version=version)
    except ObjectMissing:
        raise StoreError(
            f"{tables.uri('images')}: version {version} is older than what garbage collection keeps; choose a later one"
        ) from None
    return then.filter(pc.is_null(then["retired_at"]))["image_id"]


def _refuse_if_lost(store: ObjectStore, keys: list[str], version: int) -> None:
    with ThreadPoolExecutor(READERS) as readers:
        lost = [key for key, there in zip(keys, readers.map(store.exists, keys), strict=True) if not there]
    if lost:
        raise StoreError(
            f"{store.url}: the bytes of {len(lost)} images of version {version} are deleted, the first: {lost[0]}; "
            "choose a later version"
        )
