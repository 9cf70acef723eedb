"""Makes an earlier version of the published images current again, as a new commit on top."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import StoreError
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables


@dataclass(frozen=True)
class Rollback:
    """How many images came back, and how many were retired."""

    revived: int
    retired: int


def roll_back(store: ObjectStore, version: int, run_id: str, now: datetime) -> Rollback:
    """The images live at `version` of `tables/images` are live again, and all others are retired.

    The next nightly run leaves it so, SKU by SKU, until something about the SKU changes. Raises StoreError where the
    version is not there, or where garbage collection has deleted the bytes of an image that would come back; then
    nothing is changed.
    """
    tables = Tables(store)
    last = tables.version("images")
    if not 0 <= version <= last:
        raise StoreError(f"{tables.uri('images')}: has the versions 0 to {last}, not {version}")
    then = tables.read("images", ["image_id", "retired_at"], version=version)
    wanted = then.filter(pc.is_null(then["retired_at"]))["image_id"]
    rows = tables.read("images")
    is_live, is_wanted = pc.is_null(rows["retired_at"]), pc.is_in(rows["image_id"], wanted)
    revived, retired = rows.filter(pc.and_(is_wanted, pc.invert(is_live))), rows.filter(pc.and_not(is_live, is_wanted))
    lost = [key for key in revived["key"].to_pylist() if not store.exists(key)]
    if lost:
        raise StoreError(f"{store.url}: {len(lost)} images of version {version} are deleted, the first: {lost[0]}")
    changed = pa.concat_tables([_set_retired(revived, None), _set_retired(retired, now)])
    tables.merge("images", changed, "image_id", run_id, ("retired_at",))
    return Rollback(len(revived), len(retired))


def _set_retired(rows: pa.Table, moment: datetime | None) -> pa.Table:
    at = rows.schema.get_field_index("retired_at")
    kind = rows.schema.field(at)
    return rows.set_column(at, kind, pa.array([moment] * len(rows), kind.type))
