"""What became of a SKU, so that the next night can pass over it."""

from dataclasses import dataclass
from datetime import datetime

TO_LOOK_AT = "to be looked at"  # by the next run, in place of a fingerprint: no row has this one


@dataclass(frozen=True, slots=True)
class SkuRecord:
    """A row of `tables/skus`.

    `fingerprint` is the hash of all that a run saw of the SKU: its row, the stamps of its photos, and the
    configuration. While it stays the same there is nothing to do. It is empty where runs are to look again, after all
    else, at a photo that could not be had. A SKU whose row is gone from its `catalog` is retired. `title`, `handle`,
    `ids` and `category` are the `Listing` of its product, for feeds and galleries.
    """

    sku: str
    catalog: str
    fingerprint: str
    status: str
    images: int
    run_id: str
    updated_at: datetime
    title: str = ""
    handle: str = ""
    ids: str = ""
    category: str = ""
