"""The photos that a SKU or a class learns from, no more of them than crops show."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from catalog_schemas.reference import Reference
from tasks.engine.crops import TrainingPhoto, trim
from tasks.runtime.context import RunContext
from tasks.runtime.pictures import read_reference
from tasks.runtime.threads import AT_ONCE, each
from tasks.storage.objects import ObjectStore

Named = TypeVar("Named")
Picture = TypeVar("Picture")


@dataclass(frozen=True)
class Pictures(Generic[Named, Picture]):
    """Pictures that are read whenever they are gone through, few at a time: those of a whole cohort would fill the
    memory. Going through them raises StoreError."""

    read: Callable[[Named], Picture]
    named: Sequence[Named]

    def __iter__(self) -> Iterator[Picture]:
        for start in range(0, len(self.named), AT_ONCE):
            yield from each(self.read, self.named[start : start + AT_ONCE])


def training_photos(
    context: RunContext, references: Sequence[Reference], store: ObjectStore
) -> Pictures[Reference, TrainingPhoto]:
    """The photos in their order."""

    def read(reference: Reference) -> TrainingPhoto:
        photo = read_reference(store, reference)
        return trim(TrainingPhoto(photo.rgb, photo.mask), context.resolution)

    return Pictures(read, references)
