"""The photos that a SKU or a class learns from, no more of them than crops show: a cohort holds them all at once."""

from collections.abc import Sequence

from catalog_schemas.reference import Reference
from tasks.context import RunContext
from tasks.engine.crops import TrainingPhoto, trim
from tasks.pixels import read_reference
from tasks.storage.objects import ObjectStore
from tasks.threads import each


def training_photos(
    context: RunContext, references: Sequence[Reference], store: ObjectStore
) -> tuple[TrainingPhoto, ...]:
    """The photos in their order. Raises StoreError."""

    def read(reference: Reference) -> TrainingPhoto:
        photo = read_reference(store, reference)
        return trim(TrainingPhoto(photo.rgb, photo.mask), context.resolution)

    return tuple(each(read, references))
