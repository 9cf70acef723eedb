"""Draws one chunk of variants, each by its technique, and keeps the drafts in the store."""

import time
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from prefect import task

from catalog_schemas.draft import Draft
from catalog_schemas.errors import Rejected
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from tasks.boundary import row_boundary
from tasks.context import RunContext
from tasks.drawing import draw
from tasks.imaging.decode import encode_png
from tasks.ledger import StageResult, once
from tasks.pixels import PhotoReader, photo_reader
from tasks.retrying import RETRIES
from tasks.storage.objects import ObjectStore
from tasks.techniques import CutOut, Material, Pixels, Rgb, find_technique
from tasks.threads import threads

STAGE = "generate_variants"


@task(name="generate variants", tags=["gpu"], **RETRIES)
def generate_variants(
    context: RunContext,
    chunk: list[PlannedVariant],
    references: dict[str, tuple[Reference, ...]],
    adapters: dict[str, str],
) -> StageResult[Draft]:
    """One `Draft` per variant of the chunk, and a verdict on each that could not be drawn.

    `references` holds the usable photos by SKU, `adapters` the store keys of LoRA files by adapter id. Writes
    `cache/drafts/<id>.png` and, where the technique knows the product's mask, `<id>-mask.png`. A chunk is drawn as a
    whole, so that its batches, and with them the last bits of its pixels, are the same after a resume.
    Raises ModelError and StoreError.
    """
    store = context.open()

    def make() -> StageResult[Draft]:
        started = time.perf_counter()
        specs = [planned.spec for planned in chunk]
        made = _make_all(context, specs, references, adapters, store)
        seconds = (time.perf_counter() - started) / len(chunk)
        return StageResult.of([replace(one, seconds=seconds) if isinstance(one, Draft) else one for one in made])

    return once(store, STAGE, Draft, work_of(chunk), make)


def work_of(chunk: list[PlannedVariant]) -> list[str]:
    """The identity of a chunk."""
    return [planned.spec.id for planned in chunk]


def _make_all(
    context: RunContext,
    specs: list[VariantSpec],
    references: dict[str, tuple[Reference, ...]],
    adapters: dict[str, str],
    store: ObjectStore,
) -> list[Draft | Rejection]:
    """The draft of each variant, or the verdict on it: made in threads, while the model draws the next ones."""
    read, made = photo_reader(store), dict[str, Future[Draft | Rejection]]()
    with threads() as pool:

        def begin(spec: VariantSpec, drawn: Rgb | None = None) -> None:
            photo = partial(_photo, spec, references[spec.sku], read)
            made[spec.id] = pool.submit(_make, context, spec, Material(drawn, photo), store)

        for spec in specs:
            if not spec.prompt:
                begin(spec)
        draw(context, [spec for spec in specs if spec.prompt], adapters, store, begin)
        return [made[spec.id].result() for spec in specs]


def _make(context: RunContext, spec: VariantSpec, material: Material, store: ObjectStore) -> Draft | Rejection:
    try:
        with row_boundary(Reason.RENDER_FAILED, spec.name):
            if spec.prompt and material.drawn is None:
                raise Rejected(
                    Reason.RENDER_FAILED, "the model's pixels were not finite; try another seed or precision"
                )
            return _keep(store, spec, find_technique(spec.technique).make(spec, material))
    except Rejected as verdict:
        return _failure(context, spec, verdict)


def _photo(spec: VariantSpec, references: tuple[Reference, ...], read: PhotoReader) -> CutOut:
    """The photo whose pixels a variant shows: the one with the cleanest cut-out; further seeds take the next ones."""
    fit = [reference for reference in references if reference.has_cut_out]
    usable = sorted(fit, key=lambda reference: -reference.confidence)
    if not usable:
        what = "no photo of the product could be cut out; give masks in the catalog, or use another technique"
        raise Rejected(Reason.RENDER_FAILED, what)
    return read(usable[spec.seed % len(usable)])


def _keep(store: ObjectStore, spec: VariantSpec, pixels: Pixels) -> Draft:
    image_key, mask_key = f"cache/drafts/{spec.id}.png", ""
    store.write(image_key, encode_png(pixels.rgb))
    if pixels.mask is not None:
        mask_key = f"cache/drafts/{spec.id}-mask.png"
        store.write(mask_key, encode_png(pixels.mask))
    return Draft(spec.id, image_key, mask_key, 0.0)


def _failure(context: RunContext, spec: VariantSpec, verdict: Rejected) -> Rejection:
    detail = f"SKU {spec.sku}, {spec.name}: the technique {spec.technique!r} gave no picture: {verdict.detail}"
    return Rejection(spec.sku, STAGE, Reason.RENDER_FAILED, spec.id, detail, context.run_id, datetime.now(UTC), spec.id)
