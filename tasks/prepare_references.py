"""Decodes the photos of some SKUs, finds the product in them, and keeps the pixels and masks in the store."""

from prefect import task

from catalog_schemas.errors import Rejected
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import Photo, Reference
from catalog_schemas.rejection import Reason, Rejection
from configs.schema import CatalogConfig
from tasks.boundary import row_boundary
from tasks.context import RunContext
from tasks.imaging.cut_out import cut_out
from tasks.imaging.decode import decode_mask, encode_png
from tasks.imaging.decoder_process import decode_apart
from tasks.imaging.measure import cut_out_confidence, uniformity
from tasks.ledger import StageResult, once
from tasks.retrying import RETRIES
from tasks.storage.objects import ObjectStore
from tasks.storage.sources import Sources

STAGE = "prepare_references"
BLANK = 2.0  # standard deviation of the pixels' values below which a photo shows nothing


@task(name="prepare references", tags=["cpu"], **RETRIES)
def prepare_references(context: RunContext, jobs: list[SkuJob]) -> StageResult[Reference]:
    """The usable photos of the jobs' SKUs as `Reference`s, and a verdict on each that is not usable.

    Writes `cache/references/<id>.png` and `<id>-mask.png`. Raises StoreError.
    """
    store = context.open()
    sources = Sources(context.catalog, context.config.catalog)

    def make() -> StageResult[Reference]:
        references: list[Reference] = []
        rejections: list[Rejection] = []
        for job in jobs:
            for photo in job.photos:
                try:
                    with row_boundary(Reason.REFERENCE_UNREADABLE, photo.uri):
                        references.append(_prepare(job.product.sku, photo, store, sources, context.config.catalog))
                except Rejected as verdict:
                    rejections.append(_rejection(job, photo, verdict, context))
        return StageResult(tuple(references), tuple(rejections))

    return once(store, STAGE, Reference, work_of(jobs), make)


def work_of(jobs: list[SkuJob]) -> list[str]:
    """The identity of a chunk of this stage."""
    return [part for job in jobs for part in (job.product.sku, *(photo.id for photo in job.photos))]


def _prepare(sku: str, photo: Photo, store: ObjectStore, sources: Sources, config: CatalogConfig) -> Reference:
    decoded = decode_apart(sources.read(photo.uri, config.reference_bytes_maximum), config.reference_pixels_maximum)
    height, width = decoded.rgb.shape[:2]
    if min(height, width) < config.reference_side_minimum:
        least = config.reference_side_minimum
        raise Rejected(Reason.REFERENCE_TOO_SMALL, f"{width} x {height} pixels; both sides need at least {least}")
    if uniformity(decoded.rgb) < BLANK:
        raise Rejected(Reason.REFERENCE_BLANK, "the photo shows one uniform colour; send a photo of the product")
    if photo.mask_uri:
        mask = decode_mask(sources.read(photo.mask_uri, config.reference_bytes_maximum), (height, width), decode_apart)
        source = "given"
    elif decoded.alpha is not None and decoded.alpha.min() < 0.5 <= decoded.alpha.max():
        mask, source = decoded.alpha, "alpha"
    else:
        mask, source = cut_out(decoded.rgb), "cut_out"
    image_key, mask_key = f"cache/references/{photo.id}.png", f"cache/references/{photo.id}-mask.png"
    store.write(image_key, encode_png(decoded.rgb))
    store.write(mask_key, encode_png(mask))
    share, confidence = float((mask >= 0.5).mean()), cut_out_confidence(decoded.rgb, mask)
    return Reference(photo.id, sku, photo.uri, image_key, mask_key, width, height, source, share, confidence)


def _rejection(job: SkuJob, photo: Photo, verdict: Rejected, context: RunContext) -> Rejection:
    sku = job.product.sku
    detail = f"SKU {sku}, {photo.uri}: {verdict.detail}"
    return Rejection(sku, STAGE, verdict.reason, photo.uri, detail, context.run_id, context.started_at)
