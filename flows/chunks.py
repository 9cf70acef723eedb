"""Work in slices, each for one task run."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import PlannedVariant

Item = TypeVar("Item")


def slices(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    """The items, `size` at a time."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def title(verb: str, work: Sequence[Any]) -> str:
    """What a task run that does this work is called."""
    if isinstance(work[0], AdapterSpec):
        first = work[0].class_noun
    else:
        first = work[0].spec.sku if isinstance(work[0], PlannedVariant) else work[0].product.sku
    return f"{verb} {first}" if len(work) == 1 else f"{verb} {first} and {len(work) - 1} more"
