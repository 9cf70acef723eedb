"""Decodes the photos of some SKUs, finds the product in them, and keeps the pixels and masks in the store."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from prefect import task
from pydantic import TypeAdapter

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import bytes_id, content_id
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import Photo, Reference
from catalog_schemas.rejection import PASSING, Reason, Rejection
from configs.schema import CatalogConfig
from tasks.imaging.cut_out import Segment, cut_out_of
from tasks.imaging.decode import decode_mask, encode_png
from tasks.imaging.decoder_process import decode_apart
from tasks.imaging.formats import readable
from tasks.imaging.measure import cut_out_confidence, uniformity
from tasks.imaging.segmenter import load_segmenter
from tasks.imaging.thumbnail import thumbnail
from tasks.imaging.transparency import without_shadow
from tasks.planning.photos import fetched_key
from tasks.runtime.boundary import row_boundary
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult, kept, once
from tasks.runtime.pictures import photo_key, small_photo_key
from tasks.runtime.progress import Progress
from tasks.runtime.stage_options import RETRIES
from tasks.runtime.threads import each
from tasks.runtime.versions import PREPARER_VERSION
from tasks.storage.addresses import is_web
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.storage.sources import Sources

STAGE = "prepare_references"
_REFERENCE = TypeAdapter(Reference)
_MANY = 0.25  # of the photos: fewer that are hard to cut out are not worth an advice
BLANK = 2.0  # standard deviation of the pixels' values below which a photo shows nothing


@task(name="prepare references", **RETRIES)
def prepare_references(context: RunContext, jobs: list[SkuJob]) -> StageResult[Reference]:
    """The usable photos of the jobs' SKUs as `Reference`s, and a verdict on each that is not usable.

    A SKU of which one photo cannot be had for a passing reason gets none at all. Writes `cache/references/<id>.png`,
    `<id>-mask.png` and `<id>-small.webp`. Raises ModelError and StoreError.
    """
    store, config = context.open(), context.config.catalog
    preparer = _Preparer(store, Sources(context.catalog, config), config, _segment(context))

    def prepared(listed: tuple[SkuJob, Photo]) -> Reference | Rejection:
        job, photo = listed
        try:
            with row_boundary(Reason.REFERENCE_UNREADABLE, photo.uri):
                return preparer.reference(job.product.sku, photo)
        except Rejected as verdict:
            return _rejection(job, photo, verdict, context)

    def make() -> StageResult[Reference]:
        with Progress("preparing photos") as progress:
            made = each(prepared, [(job, photo) for job in jobs for photo in job.photos], progress.update)
        # An adapter is named by all of its photos: without one of them it waits for the next run.
        waiting = {one.sku for one in made if isinstance(one, Rejection) and one.reason in PASSING}
        return StageResult.of([one for one in made if isinstance(one, Rejection) or one.sku not in waiting])

    return once(store, STAGE, Reference, work_of(context, jobs), make)


def work_of(context: RunContext, jobs: list[SkuJob]) -> list[str]:
    """The identity of a chunk of this stage: verdicts hold for the bounds that were set, and the formats that are read.

    What a killed run has refused for a format is judged anew where that is read by now.
    """
    judged_by = content_id([PREPARER_VERSION, context.config.catalog.model_dump(mode="json"), readable()])
    return [judged_by, *(part for job in jobs for part in (job.product.sku, *(photo.id for photo in job.photos)))]


@dataclass(frozen=True)
class _Preparer:
    """Prepares photos; `segment` finds the product in one that has no mask, None by its colours and edges."""

    store: ObjectStore
    sources: Sources
    config: CatalogConfig
    segment: Segment | None

    def reference(self, sku: str, photo: Photo) -> Reference:
        """The photo, prepared, now or by an earlier run from the same bytes."""
        key = f"cache/references/{photo.id}-v{PREPARER_VERSION}.json"
        if held := kept(self.store, key, _REFERENCE):
            fits = held.width * held.height <= self.config.reference_pixels_maximum
            if fits and min(held.width, held.height) >= self.config.reference_side_minimum:
                return replace(held, sku=sku, uri=photo.uri)
        made = self._prepare(sku, photo)
        self.store.write(key, _REFERENCE.dump_json(made))
        return made

    def _prepare(self, sku: str, photo: Photo) -> Reference:
        data = self._bytes(photo.uri, photo.content)
        decoded = decode_apart(data, self.config.reference_pixels_maximum)
        height, width = decoded.rgb.shape[:2]
        if min(height, width) < self.config.reference_side_minimum:
            least = self.config.reference_side_minimum
            raise Rejected(Reason.REFERENCE_TOO_SMALL, f"{width} x {height} pixels; both sides need at least {least}")
        if uniformity(decoded.rgb) < BLANK:
            raise Rejected(Reason.REFERENCE_BLANK, "the photo shows one uniform colour; send a photo of the product")
        plain = True
        if photo.mask_uri:
            given = self._bytes(photo.mask_uri, photo.mask_content)
            mask = decode_mask(given, (height, width), decode_apart)
            source = "given"
        elif decoded.alpha is not None and decoded.alpha.min() < 0.5 <= decoded.alpha.max():
            mask, source = without_shadow(decoded.rgb, decoded.alpha), "alpha"
        else:
            (mask, plain), source = cut_out_of(decoded.rgb, self.segment), "cut_out"
        image_key, mask_key = photo_key(photo.id), f"cache/references/{photo.id}-mask.png"
        self.store.write(image_key, encode_png(decoded.rgb))
        self.store.write(mask_key, encode_png(mask))
        self.store.write(small_photo_key(photo.id), thumbnail(decoded.rgb, form="webp"))
        share, confidence = float((mask >= 0.5).mean()), cut_out_confidence(decoded.rgb, mask)
        return Reference(photo.id, sku, photo.uri, image_key, mask_key, width, height, source, share, confidence, plain)

    def _bytes(self, uri: str, content: str) -> bytes:
        """The bytes that the run was planned with."""
        if is_web(uri):
            try:
                return self.store.read(fetched_key(content))
            except ObjectMissing:  # a run before has seen them, and this one had no need to fetch them
                pass
        data = self.sources.read(uri, self.config.reference_bytes_maximum)
        if content and bytes_id(data) != content:
            what = "was replaced while the run was under way; the next run takes it up"
            raise Rejected(Reason.REFERENCE_CHANGED, f"{uri} {what}")
        return data


def _segment(context: RunContext) -> Segment | None:
    """What the run cuts products out with; it is loaded when the first photo needs it."""
    config = context.config.model.segmenter
    if config is None:
        return None
    return lambda rgb: load_segmenter(context.model.segmenter, config.mean, config.std)(rgb)


def cut_out_advice(context: RunContext, references: Iterable[Reference]) -> tuple[str, ...]:
    """What whoever started the run should know of these photos' cut-outs."""
    computed = [one for one in references if one.mask_source == "cut_out"]
    busy = sum(not one.is_plain for one in computed)
    if context.config.model.segmenter or busy <= _MANY * len(computed):
        return ()
    return (
        f"{busy} of {len(computed)} photos show more than a product before a plain backdrop, and are cut out by "
        "colours and edges, which may lose parts: docs/cut-outs.md says how masks or a network (model.segmenter) do "
        "better",
    )


def _rejection(job: SkuJob, photo: Photo, verdict: Rejected, context: RunContext) -> Rejection:
    sku = job.product.sku
    detail = f"SKU {sku}, {photo.uri}: {verdict.detail}"
    return Rejection(sku, STAGE, verdict.reason, photo.uri, detail, context.run_id, context.started_at)
