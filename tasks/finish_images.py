"""Finishes one chunk of checked drafts for their channels, and writes the image files under their final names."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial

from prefect import task

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import bytes_id
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.rejection import Reason, Rejection
from configs.entries import Channel
from tasks.check_variants import CheckedDraft
from tasks.generating.drawing import scene_key
from tasks.imaging.decode import size_of
from tasks.imaging.finish import finish
from tasks.imaging.marking import Marks
from tasks.imaging.spotting import spot
from tasks.publishing.json_columns import CHECKS, SPEC
from tasks.runtime.boundary import row_boundary
from tasks.runtime.context import RunContext
from tasks.runtime.identities import image_id, slot_of
from tasks.runtime.ledger import StageResult, once
from tasks.runtime.pictures import read_draft, scene_reader
from tasks.runtime.stage_options import RETRIES
from tasks.runtime.threads import each
from tasks.storage.keys import safe_name
from tasks.storage.objects import ObjectStore
from tasks.techniques import find_technique

STAGE = "finish_images"
SUFFIXES = {"jpeg": "jpg", "png": "png", "webp": "webp"}


@task(name="finish images", **RETRIES)
def finish_images(
    context: RunContext, chunk: list[PlannedVariant], checked: StageResult[CheckedDraft]
) -> StageResult[ImageRecord]:
    """One `ImageRecord` per draft and channel, and a verdict on each that cannot meet its channel's rules.

    Writes `images/<sku>/<channel>/<name>-<hash12>.<ext>`; nobody sees them before they are published.
    Raises StoreError.
    """
    store, library = context.open(), context.library()
    planned = {one.spec.id: one for one in chunk}
    photographs = scene_reader(store)

    def renditions(entry: CheckedDraft) -> list[ImageRecord | Rejection]:
        one = planned[entry.draft.variant_id]
        pixels = read_draft(store, entry.draft)
        photograph = partial(photographs, scene_key(one.spec)) if one.spec.scene_photo else None
        spotted = cache(partial(spot, pixels.rgb))  # once for all channels
        finished = partial(finish, pixels.rgb, mask=pixels.mask, photograph=photograph, spotted=spotted)
        made: list[ImageRecord | Rejection] = []
        for channel in (library.channels[name] for name in one.channels):
            try:
                with row_boundary(Reason.FINISH_FAILED, one.spec.name):
                    made.append(_finish(context, one, channel, entry, finished, store))
            except Rejected as verdict:
                made.append(_rejection(context, one, channel, verdict))
        return made

    def make() -> StageResult[ImageRecord]:
        return StageResult.of([one for of_draft in each(renditions, checked.records) for one in of_draft])

    passed = [planned[entry.draft.variant_id] for entry in checked.records]
    wanted = ((one, library.channels[name]) for one in passed for name in one.channels)
    work = [image_id(one.spec, channel, one.title) for one, channel in wanted]
    return once(store, STAGE, ImageRecord, work, make)


def _finish(
    context: RunContext,
    planned: PlannedVariant,
    channel: Channel,
    entry: CheckedDraft,
    finished: Callable[..., bytes],
    store: ObjectStore,
) -> ImageRecord:
    spec, alt_text = planned.spec, _alt_text(planned)
    marks = Marks(
        source_type=find_technique(spec.technique).SOURCE_TYPE if spec.prompt else "none",
        ai_system="Stable Diffusion" if spec.prompt else "",
        ai_version=spec.base_model,
        prompt=spec.prompt,
        alt_text=alt_text,
        title=planned.title,
    )
    data = finished(channel=channel, marks=marks)
    sha256, (height, width) = bytes_id(data), size_of(data)
    name = f"{spec.name}-{sha256[:12]}.{SUFFIXES[channel.format]}"
    record = ImageRecord(
        image_id=image_id(spec, channel, planned.title),
        variant_id=spec.id,
        slot=slot_of(spec, channel.name),
        sku=spec.sku,
        title=planned.title,
        channel=channel.name,
        scene=spec.scene,
        colour=spec.colour,
        background=spec.background,
        technique=spec.technique,
        seed=spec.seed,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        adapter_id=spec.adapter_id,
        base_model=spec.base_model,
        steps=spec.steps,
        guidance=spec.guidance,
        scheduler=spec.scheduler,
        key=f"images/{safe_name(spec.sku)}/{channel.name}/{name}",
        sha256=sha256,
        bytes=len(data),
        width=width,
        height=height,
        format=channel.format,
        alt_text=alt_text,
        checks=CHECKS.dump_json(entry.checks).decode(),
        spec=SPEC.dump_json(spec).decode(),
        origin=context.origin,
        run_id=context.run_id,
        created_at=datetime.now(UTC),
    )
    store.write(record.key, data)
    return record


def _alt_text(planned: PlannedVariant) -> str:
    """What a person who cannot see the picture is told."""
    spec = planned.spec
    place = "" if spec.scene == "plain" else f", {spec.scene.replace('-', ' ')}"
    colour = "" if spec.colour == "original" else f" in {spec.colour_word or spec.colour.replace('-', ' ')}"
    return f"{planned.title}{colour}{place}"


def _rejection(context: RunContext, planned: PlannedVariant, channel: Channel, verdict: Rejected) -> Rejection:
    spec, subject = planned.spec, image_id(planned.spec, channel, planned.title)
    detail = f"SKU {spec.sku}, {spec.name}, channel {channel.name}: {verdict.detail}"
    return Rejection(spec.sku, STAGE, verdict.reason, subject, detail, context.run_id, datetime.now(UTC), spec.id)
