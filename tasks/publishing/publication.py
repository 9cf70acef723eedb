"""What a run makes visible, and how: one commit per table, after all objects are written, each exactly once.

The order is adapters, rejections, images, photos, skus, runs. What is to be committed is written down first, in one
piece, at `cache/publishing/<run_id>.json`: a run that is killed between two commits is completed by the next one, or by
a command, under its own run id, before anything else looks at the tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.image import ImageRecord
from catalog_schemas.reference import PhotoRecord
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import TO_LOOK_AT, SkuRecord
from tasks.publishing.reviews import is_rejected
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.table_rows import rows_of, with_retired_at, with_value
from tasks.storage.tables import Tables

PENDING = "cache/publishing"
# By table, the columns in which a row replaces the one that is there already.
_REMADE = tuple(f.name for f in fields(ImageRecord) if f.name not in ("image_id", "slot"))
_DETERMINED = {f.name for f in fields(AdapterSpec)}  # by the adapter's id, and so the same in every row of it
_RETRAINED = tuple(f.name for f in fields(AdapterRecord) if f.name not in {"adapter_id", *_DETERMINED})
_LISTED = ("content", "product", "title", "stamp", "run_id", "updated_at")
_REFUSED_AGAIN = ("detail", "run_id", "created_at")
_SEEN = tuple(f.name for f in fields(SkuRecord) if f.name != "sku")


@dataclass(frozen=True)
class Harvest:
    """Everything a run has made, refused and retired; `skus` and `photos` are what the next run is to know, and
    `superseded` the verdicts on attempts that another one has followed."""

    adapters: tuple[AdapterRecord, ...]
    images: tuple[ImageRecord, ...]
    rejections: tuple[Rejection, ...]
    retired: tuple[str, ...] = ()
    skus: tuple[SkuRecord, ...] = ()
    photos: tuple[PhotoRecord, ...] = ()
    superseded: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class Publication:
    """All that a run commits."""

    harvest: Harvest
    run: RunRecord


_PUBLICATION = TypeAdapter(Publication)


def publish_harvest(store: ObjectStore, harvest: Harvest, run: RunRecord) -> None:
    """Writes down what a run commits, and commits it. Raises StoreError."""
    key, publication = f"{PENDING}/{run.run_id}.json", Publication(harvest, run)
    store.write(key, _PUBLICATION.dump_json(publication))
    _publish(store, publication, run.finished_at)
    store.delete([key])


def are_publications_left(store: ObjectStore) -> bool:
    """Whether runs had begun to publish when they were killed. Raises StoreError."""
    return any(True for _ in store.list(PENDING))


def complete_publications(store: ObjectStore, now: datetime) -> list[str]:
    """Commits what runs had begun to publish when they were killed; returns their ids.

    What they retire was live until `now`, however long ago they ended: garbage collection's grace period begins now. A
    run that is publishing just now is not disturbed: each commit is made once, whoever makes it. Raises StoreError.
    """
    finished = []
    for info in list(store.list(PENDING)):
        try:
            publication = _PUBLICATION.validate_json(store.read(info.key))
        except ObjectMissing:  # its own run has just finished
            continue
        _publish(store, publication, max(now, publication.run.finished_at))
        store.delete([info.key])
        finished.append(publication.run.run_id)
    return finished


def list_again(tables: Tables, skus: list[str], run_id: str) -> None:
    """Has the next night look at those of these SKUs, of which images come back, that their catalog had lost.

    It retires them again, unless the catalog lists them by then. Raises StoreError.
    """
    rows = tables.read("skus", filters=[("sku", "in", skus), ("status", "==", "retired")])
    if len(rows):
        rows = with_value(with_value(rows, "status", "published"), "fingerprint", TO_LOOK_AT)
        tables.merge("skus", rows, run_id, ("status", "fingerprint"))


def _publish(store: ObjectStore, publication: Publication, now: datetime) -> None:
    """What is retired is dated `now`."""
    tables, harvest, run = Tables(store), publication.harvest, publication.run
    images = [replace(record, run_id=run.run_id) for record in harvest.images]
    adapters = [replace(record, run_id=run.run_id) for record in harvest.adapters]
    refused = [replace(one, run_id=run.run_id) for one in (*harvest.rejections, *harvest.superseded)]

    def with_retired() -> pa.Table:
        looked_at = {record.sku for record in harvest.skus}
        return _with_retired(tables, images, harvest.retired, looked_at, now)

    following = {"adapters": lambda: _trained(tables, adapters), "images": with_retired}
    listed: list[tuple[str, Sequence[Any], tuple[str, ...]]] = [
        ("adapters", adapters, _RETRAINED),
        ("rejections", refused, _REFUSED_AGAIN),
        ("images", images or harvest.retired, _REMADE),
        ("photos", harvest.photos, _LISTED),
        ("skus", harvest.skus, _SEEN),
        ("runs", [run], ()),
    ]
    for name, records, update in listed:
        if records:
            rows = following.get(name) or rows_of(name, records)
            tables.merge(name, rows, run.run_id, update)


def _with_retired(
    tables: Tables, images: list[ImageRecord], retired: tuple[str, ...], skus: set[str], now: datetime
) -> pa.Table:
    """The new images less rejected ones, and the live rows that they replace or that have no place any more, marked as
    retired.

    `skus` are the SKUs of `retired`, so that only their rows are read.
    """
    made = rows_of("images", images)
    fresh = made.filter(pc.invert(is_rejected(tables, made)))
    live = tables.live_images(skus=sorted({image.sku for image in images} | skus))
    replaced = pc.and_(pc.is_in(live["slot"], fresh["slot"]), pc.invert(pc.is_in(live["image_id"], fresh["image_id"])))
    old = live.filter(pc.or_(replaced, pc.is_in(live["image_id"], pa.array(retired, pa.string()))))
    return pa.concat_tables([fresh, with_retired_at(old, now)])


def _trained(tables: Tables, adapters: list[AdapterRecord]) -> pa.Table:
    """The rows of new adapters: one that is there already keeps its row, which speaks of the file that counts."""
    rows = rows_of("adapters", adapters)
    there = tables.live_adapters(["adapter_id"], [("sku", "in", [one.sku for one in adapters])])["adapter_id"]
    return rows.filter(pc.invert(pc.is_in(rows["adapter_id"], there)))
