"""Makes a run's images in rounds: what the checks refuse in one is tried in the next, with another seed."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from prefect.futures import PrefectFuture

from catalog_schemas.adapter import AdapterFile
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import PlannedVariant, SkuJob
from catalog_schemas.reference import References
from catalog_schemas.rejection import Reason, Rejection
from flows.chunks import slices, title
from flows.compute.workers import Workers
from tasks.check_variants import CheckedDraft, Passed, check_variants
from tasks.finish_images import finish_images
from tasks.generate_variants import generate_variants
from tasks.planning.attempts import next_attempt
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult
from tasks.runtime.progress import announce


@dataclass(frozen=True)
class Made:
    """The `images`, the verdicts on those that cannot be had (`refused`), and those on attempts that another one has
    followed (`superseded`). `tried` holds the last attempt at each variant of which there were several, by SKU and
    name, which all attempts at a variant share."""

    images: list[ImageRecord]
    refused: list[Rejection]
    superseded: list[Rejection]
    tried: dict[tuple[str, str], PlannedVariant]

    def as_tried(self, jobs: list[SkuJob]) -> list[SkuJob]:
        """The jobs with the last attempt at each variant in place of the first one."""

        def last(one: PlannedVariant) -> PlannedVariant:
            return self.tried.get((one.spec.sku, one.spec.name), one)

        return [replace(job, variants=tuple(map(last, job.variants))) for job in jobs]


def make_images(
    context: RunContext, workers: Workers, jobs: list[SkuJob], references: References, files: dict[str, AdapterFile]
) -> Made:
    """Makes the jobs' images. What the checks refuse is tried with other seeds, once all else is made, and compared
    with what has passed. `files` holds those of adapters, by id."""
    wanted = {one.spec.id: one for job in jobs for one in job.variants}
    passed: dict[str, list[Passed]] = defaultdict(list)
    images, refused, superseded = list[ImageRecord](), list[Rejection](), list[Rejection]()
    tried = dict[tuple[str, str], PlannedVariant]()
    while wanted:
        results = _round(context, workers, list(wanted.values()), references, files, passed)
        again = dict[str, PlannedVariant]()
        for rejection in (rejection for result in results for rejection in result.rejections):
            failed = wanted[rejection.variant_id]
            another = next_attempt(failed) if rejection.reason == Reason.CHECK_FAILED else None
            if another:
                again[another.spec.id] = tried[another.spec.sku, another.spec.name] = another
                superseded.append(rejection)
            else:
                refused.append(rejection)
        for record in (record for result in results for record in result.records):
            if isinstance(record, ImageRecord):
                images.append(record)
            elif isinstance(record, CheckedDraft):
                spec = wanted[record.draft.variant_id].spec
                passed[spec.sku].append((spec, record.draft))
        wanted = again
        if again:
            announce(f"The checks refused {len(again)} of the pictures; they are tried with another seed")
    return Made(images, refused, superseded, tried)


def _round(
    context: RunContext,
    workers: Workers,
    variants: list[PlannedVariant],
    references: References,
    files: dict[str, AdapterFile],
    passed: dict[str, list[Passed]],
) -> list[StageResult[Any]]:
    """Draws, checks and finishes chunk by chunk: one chunk is finished while the next is drawn."""
    submit, share = workers.submit, context.config.compute.workers

    def stages() -> Iterator[PrefectFuture[Any]]:
        for chunk in slices(variants, context.config.compute.chunk_size):
            photos = {one.spec.sku: references[one.spec.sku] for one in chunk}
            own = {one.spec.adapter_id: files[one.spec.adapter_id] for one in chunk if one.spec.adapter_id}
            beside = {sku: passed[sku] for sku in photos if sku in passed}
            yield (
                drawn := submit(generate_variants, title("generate", chunk), context, chunk, photos, own, at_once=share)
            )
            yield (checked := submit(check_variants, title("check", chunk), context, chunk, drawn, photos, beside))
            yield submit(finish_images, title("finish", chunk), context, chunk, checked)

    return workers.results(stages(), 3 * workers.at_once)
