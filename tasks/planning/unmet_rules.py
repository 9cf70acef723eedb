"""What the matrix's rules name and no product has: a mistyped name in them would else just do nothing."""

from collections.abc import Iterable, Iterator, Set

from configs.schema import VariantMatrix
from tasks.planning.unknown_skus import UNKNOWN_SHOWN, suggestions


def unmet_skus(matrix: VariantMatrix, seen: Set[str]) -> Iterator[str]:
    """A sentence for each SKU of a rule that is not among those of the catalog; of many for the first ones."""
    missing = [(place, sku) for place, named in _named(matrix, "skus") for sku in named if sku not in seen]
    shown = missing[:UNKNOWN_SHOWN]
    for (place, sku), meant in zip(shown, suggestions([sku for _, sku in shown], seen), strict=True):
        yield f"{place}: the catalog has no SKU {sku}{meant}"
    if len(missing) > len(shown):
        yield f"{len(missing) - len(shown):,} more SKUs in rules are not in the catalog"


def unmet_categories(matrix: VariantMatrix, categories: Iterable[str]) -> Iterator[str]:
    """A sentence for each category of a rule that is part of none of these, which all products have."""
    held = {category.lower() for category in categories}
    for place, named in _named(matrix, "categories"):
        for category in named:
            if not any(category.lower() in one for one in held):
                yield f"{place}: no product has a category that contains {category!r}"


def _named(matrix: VariantMatrix, field: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """What the rules' field holds, each with its place in the configuration."""
    for section in ("include", "exclude"):
        for at, rule in enumerate(getattr(matrix, section)):
            yield f"variants.{section}.{at}.{field}", getattr(rule, field)
