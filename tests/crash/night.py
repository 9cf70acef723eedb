"""A night in which training and drawing are replaced by their records: the ledger, the objects and the tables are real.

It follows `flows.pipeline` step by step: what is finished is recorded, what is recorded is not made again, and
everything becomes visible in `tasks.publishing.publication`. A stage that loses its connection is tried again, as
Prefect does with tasks; elsewhere a lost connection ends the night.
"""

import json
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.draft import Draft
from catalog_schemas.errors import StoreUnreachable
from catalog_schemas.identity import bytes_id, content_id
from catalog_schemas.image import ImageRecord
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.review import Verdict
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from configs.schema import RunConfig
from tasks.publish import finish_publishing, publish
from tasks.publishing.publication import Harvest
from tasks.publishing.reviews import Picture, rejections, reviewed
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult, once, record_key, recorded
from tasks.runtime.models import ModelFolder
from tasks.storage.keys import safe_name
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

Result = TypeVar("Result")

SIDES, SEEDS = ("front", "side"), 100
BAD = "bad"  # the SKU whose photo is refused
STAGES = ("prepare_references", "train_adapters", "generate_variants", "finish_images")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NightContext(RunContext):
    """A context that opens the store that the test watches."""

    objects: ObjectStore | None = None

    def open(self) -> ObjectStore:
        assert self.objects is not None
        return self.objects


def context_of(store: ObjectStore, run_id: str, now: datetime = EPOCH) -> NightContext:
    """A run's context."""
    config = RunConfig.model_construct()
    return NightContext(run_id, "catalog.parquet", store.url, config, ModelFolder("", "", 64, ""), now, objects=store)


def adapter_id(sku: str, photo: int) -> str:
    """What a SKU learned from a photo is called."""
    return content_id(["adapter", sku, photo])


def image_id(sku: str, photo: int, slot: str) -> str:
    """What a slot's image with that photo is called."""
    return content_id(["image", sku, photo, slot])


def image_key(sku: str, photo: int, slot: str) -> str:
    """Where it lies."""
    return f"images/{safe_name(sku)}/web/{slot}-{bytes_id(_pixels(sku, photo, slot))[:12]}.jpg"


def slots_of(sku: str, photo: int, rejected: Container[Picture]) -> list[str]:
    """Where a SKU's images stand: for each side the first seed whose picture nobody has rejected."""
    seeds = ([f"{side}_{seed}" for seed in range(SEEDS)] for side in SIDES)
    return [next(one for one in of_side if picture(sku, photo, one) not in rejected) for of_side in seeds]


def picture(sku: str, photo: int, slot: str) -> Picture:
    """What reviews call the image."""
    return image_id(sku, photo, slot), content_id([sku, slot])


@dataclass
class Work:
    """What a night has to do."""

    slots: dict[str, list[str]]  # to be filled, by SKU
    photos: dict[str, int]  # of these SKUs
    train: list[str]
    retired: tuple[str, ...]
    gone: list[str]
    seen: dict[str, str]  # the fingerprints of the SKUs that were looked at


def plan(store: ObjectStore, catalog: dict[str, int]) -> Work:
    """The difference between a catalog (SKU to the version of its photo) and the tables."""
    tables = Tables(store)
    live = tables.live_images(["image_id", "sku", "slot"]).to_pylist()
    there, refused = {row["image_id"] for row in live}, rejections(tables)
    trained = set(tables.live_adapters(["adapter_id"])["adapter_id"].to_pylist())
    skus = {row["sku"]: row for row in tables.read("skus", ["sku", "status", "fingerprint"]).to_pylist()}
    listed = {sku: f"photo {photo} {refused.get(sku, '')}" for sku, photo in catalog.items()}
    seen = {sku: now for sku, now in listed.items() if sku not in skus or skus[sku]["fingerprint"] != now}
    rejected = reviewed(tables, Verdict.REJECTED)
    wanted = {sku: slots_of(sku, catalog[sku], rejected) for sku in seen if sku != BAD}
    slots = {s: [one for one in of if image_id(s, catalog[s], one) not in there] for s, of in wanted.items()}
    photos = {sku: catalog[sku] for sku, missing in slots.items() if missing}
    gone = [sku for sku, row in skus.items() if sku not in catalog and row["status"] != "retired"]
    kept = {content_id([sku, slot]) for sku, of in wanted.items() for slot in of}
    return Work(
        slots={sku: slots[sku] for sku in photos},
        photos=photos,
        train=[s for s, p in photos.items() if adapter_id(s, p) not in trained],
        retired=tuple(row["image_id"] for row in live if row["sku"] in {*wanted, *gone} and row["slot"] not in kept),
        gone=gone,
        seen=seen,
    )


def run_night(store: ObjectStore, catalog: dict[str, int], run_id: str, now: datetime = EPOCH) -> RunRecord:
    """A whole night; returns its record."""
    context = context_of(store, run_id, now)
    store.write(f"runs/{run_id}/config.json", b"{}")
    _tried(lambda: finish_publishing.fn(context, now))
    work = plan(store, catalog)
    _tried(lambda: store.write(f"runs/{run_id}/plan.parquet", json.dumps(work.photos).encode()))
    harvest = make(context, work)
    run = run_record(context, harvest, now + timedelta(seconds=1))
    _tried(lambda: publish.fn(context, harvest, run))
    _forget(store, work)
    _tried(lambda: store.write(f"runs/{run_id}/report/index.html", b"<html>"))
    _tried(lambda: store.write(f"runs/{run_id}/report/summary.json", b"{}"))
    return run


def make(context: NightContext, work: Work) -> Harvest:
    """Prepares, trains, draws and finishes, stage by stage, as far as the store does not hold it."""
    store, adapters, images = context.open(), list[AdapterRecord](), list[ImageRecord]()
    for sku, photo in work.photos.items():
        _tried(
            lambda s=sku, p=photo: once(store, STAGES[0], Reference, [s, str(p)], lambda: _prepared(store, s, p))  # type: ignore[misc]
        )
    left = recorded(store, STAGES[1], AdapterRecord).values()
    kept = {one.adapter_id: one for result in left for one in result.records}
    wanted = {adapter_id(sku, work.photos[sku]): sku for sku in work.train}
    for cohort in _pairs(list(wanted)):
        todo = [name for name in cohort if name not in kept]
        if todo:
            result = _tried(
                lambda t=todo: once(store, STAGES[1], AdapterRecord, t, lambda: _trained(context, work, wanted, t))  # type: ignore[misc]
            )
            kept |= {one.adapter_id: one for one in result.records}
    adapters += [kept[name] for name in wanted]
    for sku, photo in work.photos.items():
        chunk = [image_id(sku, photo, slot) for slot in work.slots[sku]]
        drawn = _tried(lambda c=chunk: once(store, STAGES[2], Draft, c, lambda: _drawn(store, c)))  # type: ignore[misc]
        done = _tried(
            lambda s=sku, p=photo, c=chunk, d=drawn: once(  # type: ignore[misc]
                store, STAGES[3], ImageRecord, c, lambda: _finished(context, s, p, work.slots[s], d.records)
            )
        )
        images += done.records
    refused = [rejection(context, sku) for sku in work.seen if sku == BAD]
    return Harvest(tuple(adapters), tuple(images), tuple(refused), work.retired, _skus(context, work))


def run_record(context: RunContext, harvest: Harvest, finished_at: datetime) -> RunRecord:
    """The run's own row."""
    count = len(harvest.images)
    skus = len({image.sku for image in harvest.images})
    bad = len(harvest.rejections)
    return RunRecord(
        context.run_id, context.catalog, "{}", "completed", skus + bad, skus, bad, 0, 0, 0, len(harvest.adapters),
        count, count, 0, 0, 0, 0, 1.0, context.started_at, finished_at,
    )  # fmt: skip


def rejection(context: RunContext, sku: str) -> Rejection:
    """The verdict on a SKU."""
    return Rejection(sku, STAGES[0], Reason.REFERENCE_BLANK, sku, "blank", context.run_id, context.started_at)


def adapter_record(context: RunContext, sku: str, photo: int) -> tuple[AdapterRecord, bytes]:
    """An adapter's record and its bytes."""
    name = adapter_id(sku, photo)
    data = f"lora {sku} {photo}".encode()
    key = f"adapters/{safe_name(sku)}/{name[:16]}/adapter.safetensors"
    values = _blank(AdapterRecord) | {
        "adapter_id": name, "sku": sku, "references": (str(photo),), "key": key, "sha256": bytes_id(data),
        "bytes": len(data), "run_id": context.run_id, "created_at": context.started_at,
    }  # fmt: skip
    return AdapterRecord(**values), data


def _blank(record: type) -> dict[str, Any]:
    """Every text and number of a record, empty."""
    return {column: kind() for column, kind in record.__annotations__.items() if kind in (str, int, float)}


def image_record(context: RunContext, sku: str, photo: int, slot: str) -> tuple[ImageRecord, bytes]:
    """An image's record and its bytes."""
    data = _pixels(sku, photo, slot)
    name, place = picture(sku, photo, slot)
    values = _blank(ImageRecord) | {
        "image_id": name, "variant_id": name, "slot": place, "sku": sku, "scene": slot, "channel": "web",
        "adapter_id": adapter_id(sku, photo), "sha256": bytes_id(data), "bytes": len(data),
        "key": image_key(sku, photo, slot), "origin": "catalog",
        "run_id": context.run_id, "created_at": context.started_at,
    }  # fmt: skip
    return ImageRecord(**values), data


def _pixels(sku: str, photo: int, slot: str) -> bytes:
    return f"pixels {sku} {photo} {slot}".encode()


def _prepared(store: ObjectStore, sku: str, photo: int) -> StageResult[Reference]:
    name = content_id(["photo", sku, photo])
    keys = f"cache/references/{name}.png", f"cache/references/{name}-mask.png"
    for key in keys:
        store.write(key, key.encode())
    return StageResult((Reference(name, sku, f"{sku}.png", *keys, 64, 64, "given", 0.5, 1.0),))


def _trained(context: NightContext, work: Work, wanted: dict[str, str], todo: list[str]) -> StageResult[AdapterRecord]:
    store, records = context.open(), []
    for sku in (wanted[name] for name in todo):
        record, data = adapter_record(context, sku, work.photos[sku])
        store.write(record.key, data)
        store.write(f"{record.key.rpartition('/')[0]}/record.json", b"{}")
        records.append(record)
    return StageResult(tuple(records))


def _drawn(store: ObjectStore, chunk: list[str]) -> StageResult[Draft]:
    for name in chunk:
        store.write(f"cache/drafts/{name}.png", name.encode())
    return StageResult(tuple(Draft(name, f"cache/drafts/{name}.png", "", 0.1) for name in chunk))


def _finished(
    context: NightContext, sku: str, photo: int, slots: list[str], drafts: Iterable[Draft]
) -> StageResult[ImageRecord]:
    records = []
    for draft, slot in zip(drafts, slots, strict=True):
        assert context.open().read(draft.image_key)
        record, data = image_record(context, sku, photo, slot)
        context.open().write(record.key, data)
        records.append(record)
    return StageResult(tuple(records))


def _skus(context: RunContext, work: Work) -> tuple[SkuRecord, ...]:
    def record(sku: str, fingerprint: str, status: str, images: int) -> SkuRecord:
        return SkuRecord(sku, context.catalog, fingerprint, status, images, context.run_id, context.started_at)

    looked = [
        record(sku, seen, "quarantined" if sku == BAD else "published", 0 if sku == BAD else len(SIDES))
        for sku, seen in work.seen.items()
    ]
    return (*looked, *(record(sku, "", "retired", 0) for sku in work.gone))


def _forget(store: ObjectStore, work: Work) -> None:
    store.delete([record_key(STAGES[0], [sku, str(photo)]) for sku, photo in work.photos.items()])
    published = {adapter_id(sku, work.photos[sku]) for sku in work.train}
    left = recorded(store, STAGES[1], AdapterRecord)
    store.delete([key for key, of in left.items() if all(one.adapter_id in published for one in of.records)])
    chunks = [[image_id(sku, photo, slot) for slot in work.slots[sku]] for sku, photo in work.photos.items()]
    for stage in STAGES[2:]:
        store.delete([record_key(stage, chunk) for chunk in chunks])


def _tried(call: Callable[[], Result]) -> Result:
    """Once more where the store was away."""
    try:
        return call()
    except StoreUnreachable:
        return call()


def _pairs(items: list[str]) -> list[list[str]]:
    return [items[start : start + 2] for start in range(0, len(items), 2)]
