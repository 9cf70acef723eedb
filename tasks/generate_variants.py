"""Draws one chunk of variants, each by its technique, and keeps the drafts in the store."""

import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from prefect import task
from pydantic import TypeAdapter

from catalog_schemas.adapter import AdapterFile
from catalog_schemas.draft import Draft
from catalog_schemas.errors import Rejected
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.reference import Reference, References
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from tasks.generating.drawing import draw_products, draw_scenes, has_scene, is_drawn_alone
from tasks.generating.enlarging import enlarged
from tasks.imaging.decode import encode_png
from tasks.runtime.adapter_files import read_adapters
from tasks.runtime.boundary import row_boundary
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult, kept, once
from tasks.runtime.pictures import PhotoReader, photo_reader
from tasks.runtime.stage_options import ON_DEVICE
from tasks.runtime.threads import Threads, each, threads
from tasks.storage.objects import ObjectStore
from tasks.techniques import CutOut, Material, Pixels, Rgb, find_guided, find_technique

STAGE = "generate_variants"
_CLEAN = 0.7  # of the best cut-out's confidence
_DRAFT = TypeAdapter(Draft)


@task(name="generate variants", **ON_DEVICE)
def generate_variants(
    context: RunContext,
    chunk: list[PlannedVariant],
    references: References,
    adapters: dict[str, AdapterFile],
) -> StageResult[Draft]:
    """One `Draft` per variant of the chunk, and a verdict on each that could not be drawn.

    `references` holds the usable photos by SKU, `adapters` the LoRA files by adapter id. Writes `cache/drafts/<id>.png`
    and, where the technique knows the product's mask, `<id>-mask.png`. A draft of an earlier run is taken as it is, so
    that another title or channel draws nothing. The rest of a chunk is drawn as a whole, so that its batches, and with
    them the last bits of its pixels, are the same after a resume. Raises ModelError and StoreError.
    """
    store = context.open()

    def make() -> StageResult[Draft]:
        started = time.perf_counter()
        held = each(partial(_drawn_before, store), chunk)
        missing = [planned.spec for planned, draft in zip(chunk, held, strict=True) if draft is None]
        drawn = iter(_make_all(context, missing, references, adapters, store))
        made = [draft or next(drawn) for draft in held]
        seconds = (time.perf_counter() - started) / len(chunk)
        return StageResult.of([replace(one, seconds=seconds) if isinstance(one, Draft) else one for one in made])

    result = once(store, STAGE, Draft, [planned.spec.id for planned in chunk], make)
    # Only now: a chunk that is cut off earlier is drawn as a whole again.
    each(lambda draft: store.write(_record_key(draft.variant_id), _DRAFT.dump_json(draft)), result.records)
    return result


def _make_all(
    context: RunContext,
    specs: list[VariantSpec],
    references: References,
    adapters: dict[str, AdapterFile],
    store: ObjectStore,
) -> list[Draft | Rejection]:
    """The draft of each variant, or the verdict on it: made in threads, while the model draws the next ones."""
    with threads() as pool:
        maker = _Maker(context, references, store, pool)
        for spec in specs:
            if not has_scene(spec):
                maker.scene_arrived(spec, None)
        draw_scenes(context, [spec for spec in specs if has_scene(spec)], store, maker.scene_arrived)
        refused = maker.finish_guides()
        own = [spec for spec in specs if is_drawn_alone(spec) and spec.id not in refused]
        files, lost = read_adapters(store, {one.adapter_id: adapters[one.adapter_id] for one in own if one.adapter_id})
        gone = [one for one in own if one.adapter_id in lost]
        refused |= {one.id: _rejection(context, one, Reason.ADAPTER_LOST, lost[one.adapter_id]) for one in gone}
        draw_products(context, [one for one in own if one.id not in refused], maker.guides, files, maker.drawn)
        return [refused.get(spec.id) or maker.made[spec.id].result() for spec in specs]


class _Maker:
    """Takes what the model draws, picture by picture, and gives a variant to a thread as soon as its material is there.

    `guides` are the pictures that guided variants are drawn over or along, `made` the drafts on their way; both by
    variant id.
    """

    def __init__(self, context: RunContext, references: References, store: ObjectStore, pool: Threads) -> None:
        self.context, self.references, self.store, self.pool = context, references, store, pool
        self.guides: dict[str, Pixels] = {}
        self.made: dict[str, Future[Draft | Rejection]] = {}
        self._read = photo_reader(store)
        self._scenes: dict[str, Rgb | None] = {}
        self._guiding: dict[str, Future[Pixels | Rejection]] = {}

    def scene_arrived(self, spec: VariantSpec, scene: Rgb | None) -> None:
        """The scene is there, or None where the variant needs none: a guide is made of it, or the picture itself."""
        if find_guided(spec.technique):
            self._scenes[spec.id] = scene
            self._guiding[spec.id] = self.pool.submit(self._guide, spec, self._material(spec, scene))
        elif not is_drawn_alone(spec):
            self.made[spec.id] = self.pool.submit(self._make, spec, self._material(spec, scene))

    def finish_guides(self) -> dict[str, Rejection]:
        """Waits for the guides, once all scenes have arrived; returns the verdicts on variants that got none."""
        found = {name: guide.result() for name, guide in self._guiding.items()}
        self.guides = {name: guide for name, guide in found.items() if isinstance(guide, Pixels)}
        return {name: guide for name, guide in found.items() if isinstance(guide, Rejection)}

    def drawn(self, spec: VariantSpec, image: Rgb | None) -> None:
        """The model has drawn the variant's product."""
        self.made[spec.id] = self.pool.submit(self._make, spec, self._material(spec, image))

    def _material(self, spec: VariantSpec, drawn: Rgb | None) -> Material:
        photo = partial(_photo, self.references[spec.sku], self._read)
        return Material(drawn, photo, self.guides.get(spec.id), self._scenes.get(spec.id))

    def _guide(self, spec: VariantSpec, material: Material) -> Pixels | Rejection:
        try:
            with row_boundary(Reason.RENDER_FAILED, spec.name):
                technique = find_guided(spec.technique)
                assert technique is not None, "it is asked for guided ones only"
                _refuse_what_is_not_finite(spec.scene_prompt, material)
                return technique.guide(spec, material)
        except Rejected as verdict:
            return _failure(self.context, spec, verdict)

    def _make(self, spec: VariantSpec, material: Material) -> Draft | Rejection:
        try:
            with row_boundary(Reason.RENDER_FAILED, spec.name):
                _refuse_what_is_not_finite(spec.prompt, material)
                material = enlarged(self.context, spec, material, self.store)
                return _written(self.store, spec, find_technique(spec.technique).make(spec, material))
        except Rejected as verdict:
            return _failure(self.context, spec, verdict)


def _refuse_what_is_not_finite(prompt: str, material: Material) -> None:
    if prompt and material.drawn is None:
        raise Rejected(Reason.RENDER_FAILED, "the model's pixels were not finite; try another seed or precision")


def clean(references: Iterable[Reference]) -> list[Reference]:
    """The photos whose cut-outs are fit to be shown, the cleanest first: none that is far worse than the best.

    A mask that the catalog or the photo itself brings is clean.
    """
    fit = sorted((one for one in references if one.has_cut_out), key=lambda one: -one.confidence)
    return [one for one in fit if one.mask_source != "cut_out" or one.confidence >= _CLEAN * fit[0].confidence]


def _photo(references: tuple[Reference, ...], read: PhotoReader, spec: VariantSpec) -> CutOut:
    """The photo that a variant shows, in its colour: the one with the cleanest cut-out; further seeds take the next."""
    usable = clean(references)
    if not usable:
        what = "no photo of the product could be cut out; give masks in the catalog, or use another technique"
        raise Rejected(Reason.RENDER_FAILED, what)
    return read(usable[spec.seed % len(usable)], spec.colour_hex, spec.own_colour_hex)


def _drawn_before(store: ObjectStore, planned: PlannedVariant) -> Draft | None:
    """The draft of an earlier run, where all of it is still there."""
    return kept(store, _record_key(planned.spec.id), _DRAFT)


def _record_key(variant_id: str) -> str:
    return f"cache/drafts/{variant_id}.json"


def _written(store: ObjectStore, spec: VariantSpec, pixels: Pixels) -> Draft:
    image_key, mask_key = f"cache/drafts/{spec.id}.png", ""
    store.write(image_key, encode_png(pixels.rgb))
    if pixels.mask is not None:
        mask_key = f"cache/drafts/{spec.id}-mask.png"
        store.write(mask_key, encode_png(pixels.mask))
    return Draft(spec.id, image_key, mask_key, 0.0)


def _failure(context: RunContext, spec: VariantSpec, verdict: Rejected) -> Rejection:
    what = f"the technique {spec.technique!r} gave no picture: {verdict.detail}"
    return _rejection(context, spec, Reason.RENDER_FAILED, what)


def _rejection(context: RunContext, spec: VariantSpec, reason: Reason, what: str) -> Rejection:
    detail = f"SKU {spec.sku}, {spec.name}: {what}"
    return Rejection(spec.sku, STAGE, reason, spec.id, detail, context.run_id, datetime.now(UTC), spec.id)
