"""SKUs that a run or a gallery was asked for and that are not there."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Set

from catalog_schemas.errors import ConfigError
from configs.reading import closest

UNKNOWN_SHOWN = 20  # SKUs, in a message
NEIGHBOURS = 50  # SKUs on either side of one that is not in the catalog, among which it may have been meant


def refuse_unknown(skus: Iterable[str], seen: Set[str], what: str = "are not in the catalog") -> None:
    """Raises ConfigError for SKUs that are not among those seen: a mistyped one would otherwise just be missing."""
    unknown = [sku for sku in skus if sku not in seen]
    if not unknown:
        return
    shown = unknown[:UNKNOWN_SHOWN]
    lines = [f"  - {sku}{meant}" for sku, meant in zip(shown, suggestions(shown, seen), strict=True)]
    more = [f"  and {len(unknown) - len(shown)} more"] if len(unknown) > len(shown) else []
    raise ConfigError("\n".join([f"SKUs that {what} ({len(unknown)}):", *lines, *more]))


def suggestions(skus: list[str], seen: Set[str]) -> Iterator[str]:
    """For each of `skus`, the SKU seen that may have been meant, as the end of a message; empty where none is close.

    To compare one with each of 100,000 takes seconds. What was meant begins or ends alike, and so is near it in the
    order of SKUs, or in the order of SKUs read backwards, in whatever case.
    """
    ways: list[Callable[[str], str]] = [str.casefold, lambda sku: sku.casefold()[::-1]]
    if not skus:
        return
    orders = [(way, sorted(seen, key=way)) for way in ways]
    for sku in skus:
        at = [(order, bisect_left(order, way(sku), key=way)) for way, order in orders]
        near = {one for order, place in at for one in order[max(0, place - NEIGHBOURS) : place + NEIGHBOURS]}
        close = closest(sku, near)
        yield f" (did you mean {close}?)" if close else ""
