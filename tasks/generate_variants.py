"""Draws one chunk of variants, each by its technique, and keeps the drafts in the store."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from prefect import task

from catalog_schemas.draft import Draft
from catalog_schemas.errors import PackshotError, Rejected
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from tasks.boundary import row_boundary
from tasks.context import RunContext
from tasks.imaging.decode import encode_png
from tasks.ledger import StageResult, once
from tasks.pixels import read_reference
from tasks.progress import Progress
from tasks.retrying import RETRIES
from tasks.storage.objects import ObjectStore
from tasks.techniques import CutOut, Pixels, Rgb, Studio, Technique, find_technique

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
        drawn = _draw(context, [planned.spec for planned in chunk], references, adapters, store)
        seconds = (time.perf_counter() - started) / len(chunk)
        drafts, failed = [], []
        for spec, pixels in drawn:
            if isinstance(pixels, Pixels):
                drafts.append(_keep(store, spec, pixels, seconds))
            else:
                failed.append(_failure(context, spec, pixels))
        return StageResult(tuple(drafts), tuple(failed))

    return once(store, STAGE, Draft, work_of(chunk), make)


def work_of(chunk: list[PlannedVariant]) -> list[str]:
    """The identity of a chunk."""
    return [planned.spec.id for planned in chunk]


def _draw(
    context: RunContext,
    specs: list[VariantSpec],
    references: dict[str, tuple[Reference, ...]],
    adapters: dict[str, str],
    store: ObjectStore,
) -> list[tuple[VariantSpec, Pixels | Rejected | None]]:
    """Each variant with its pixels, or with the verdict where it could not be drawn; None where nobody can say why."""
    by_technique: dict[str, list[VariantSpec]] = defaultdict(list)
    for spec in specs:
        by_technique[spec.technique].append(spec)
    easel = _Easel(lambda wanted: _render(context, wanted, adapters, store))
    studio = Studio(draw=easel.draw, photo=lambda spec: _photo(store, spec, references[spec.sku]))
    drawn: dict[str, Pixels | Rejected | None] = {}
    for name, wanted in by_technique.items():
        drawn |= zip((spec.id for spec in wanted), _by_technique(name, wanted, studio, easel), strict=True)
    return [(spec, drawn[spec.id]) for spec in specs]


class _Easel:
    """Draws each picture once, so that a technique can be asked again. What fails here is no image's own fault."""

    def __init__(self, render: Callable[[list[VariantSpec]], list[Rgb | None]]) -> None:
        self.render = render
        self.pictures: dict[VariantSpec, Rgb | None] = {}
        self.failed = False

    def draw(self, wanted: list[VariantSpec]) -> list[Rgb | None]:
        """A picture for each variant; see `Studio.draw`."""
        missing = [spec for spec in wanted if spec not in self.pictures]
        try:
            self.pictures |= zip(missing, self.render(missing), strict=True)
        except Exception:
            self.failed = True
            raise
        return [self.pictures[spec] for spec in wanted]


def _by_technique(
    name: str, wanted: list[VariantSpec], studio: Studio, easel: _Easel
) -> Sequence[Pixels | Rejected | None]:
    """What a technique makes of its variants: of all at once or, where one of them breaks it, of each alone."""
    technique = find_technique(name)
    try:
        return technique.draw(wanted, studio)
    except (PackshotError, MemoryError):
        raise
    except Exception:
        if easel.failed:
            raise
        return [_alone(technique, spec, studio) for spec in wanted]


def _alone(technique: Technique, spec: VariantSpec, studio: Studio) -> Pixels | Rejected | None:
    try:
        with row_boundary(Reason.RENDER_FAILED, spec.name):
            return technique.draw([spec], studio)[0]
    except Rejected as verdict:
        return verdict


def _render(
    context: RunContext, specs: list[VariantSpec], adapters: dict[str, str], store: ObjectStore
) -> list[Rgb | None]:
    if not specs:
        return []
    from tasks.engine.base_model import load_base  # torch and diffusers are loaded where there is something to draw
    from tasks.engine.rendering import RenderRequest, RenderSettings, render

    compute, first = context.config.compute, specs[0]
    base = load_base(Path(context.model.path), context.config.model.precision, compute.device)
    requests = [RenderRequest(spec.prompt, spec.negative_prompt, spec.seed, spec.adapter_id) for spec in specs]
    files = {name: store.read(adapters[name]) for name in {spec.adapter_id for spec in specs} - {""}}
    settings = RenderSettings(first.steps, first.guidance, first.scheduler, first.width, first.height)
    with Progress("drawing images") as progress:
        return render(base, requests, settings, files, compute.batch_size, progress.update)


def _photo(store: ObjectStore, spec: VariantSpec, references: tuple[Reference, ...]) -> CutOut | None:
    """The photo whose pixels a variant shows: the one with the cleanest cut-out; further seeds take the next ones."""
    fit = [reference for reference in references if reference.has_cut_out]
    usable = sorted(fit, key=lambda reference: -reference.confidence)
    return read_reference(store, usable[spec.seed % len(usable)]) if usable else None


def _keep(store: ObjectStore, spec: VariantSpec, pixels: Pixels, seconds: float) -> Draft:
    image_key, mask_key = f"cache/drafts/{spec.id}.png", ""
    store.write(image_key, encode_png(pixels.rgb))
    if pixels.mask is not None:
        mask_key = f"cache/drafts/{spec.id}-mask.png"
        store.write(mask_key, encode_png(pixels.mask))
    return Draft(spec.id, image_key, mask_key, seconds)


def _failure(context: RunContext, spec: VariantSpec, verdict: Rejected | None) -> Rejection:
    why = f"the technique {spec.technique!r} gave no picture: "
    why += (
        verdict.detail
        if verdict
        else (
            "its pixels were not finite, or no photo of the product could be cut out; give masks in the catalog, "
            "or use another technique"
        )
    )
    detail, now = f"SKU {spec.sku}, {spec.name}: {why}", datetime.now(UTC)
    return Rejection(spec.sku, STAGE, Reason.RENDER_FAILED, spec.id, detail, context.run_id, now, spec.id)
