"""Which rows of a catalog have changed since the run before, and which SKUs are gone."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from catalog_schemas.errors import CatalogError, ConfigError
from catalog_schemas.product import Product
from catalog_schemas.sku import TO_LOOK_AT
from tasks.planning.fingerprints import Fingerprinter, Stamps, salt_of
from tasks.publishing.reviews import rejections
from tasks.runtime.context import RunContext
from tasks.storage.sources import Sources
from tasks.storage.tables import Tables

GONE_FEW = 10  # SKUs: so many may go at once, whatever share of all they are
_ONCE = "If they are to be, run once with store.retire_maximum: 1, which is {:g} now"


class LastSeen(NamedTuple):
    """What the run before has left of a SKU: see `SkuRecord`."""

    fingerprint: str
    status: str
    images: int


@dataclass
class Changes:
    """Sorts rows into those to look at and those to pass over, and remembers what it saw.

    `fingerprints` holds those of the products to look at, by SKU. `passed` lists the SKUs of rows passed over by the
    status that they had, `images` counts the images that they have, and `seen` holds every SKU that came by. In a run
    for some products, which passes over nothing, all of it stays empty.
    """

    known: dict[str, LastSeen] = field(default_factory=dict)
    fingerprinter: Fingerprinter = field(default_factory=Fingerprinter)
    fingerprints: dict[str, str] = field(default_factory=dict)
    passed: dict[str, list[str]] = field(default_factory=lambda: {"published": [], "quarantined": []})
    images: int = 0
    seen: set[str] = field(default_factory=set)

    def select(self, batch: pa.RecordBatch) -> dict[int, str]:
        """The rows of `batch`, in `CATALOG_SCHEMA`, that are new, changed, doubled or without a SKU.

        Returns their positions, each with its fingerprint.
        """
        chosen: dict[int, str] = {}
        rows = zip(batch["sku"].to_pylist(), self.fingerprinter.of(batch), strict=True)
        for position, (sku, fingerprint) in enumerate(rows):
            held = self.known.get(sku)
            if held is None or held.fingerprint != fingerprint or sku in self.seen:
                chosen[position] = fingerprint
            else:
                self.passed[held.status].append(sku)
                self.images += held.images
            if sku:
                self.seen.add(sku)
        return chosen

    def take_back(self, skus: Set[str]) -> set[str]:
        """Has those of these SKUs that were passed over looked at after all; returns them."""
        back = {sku for passed in self.passed.values() for sku in passed if sku in skus}
        self.passed = {status: [sku for sku in passed if sku not in back] for status, passed in self.passed.items()}
        for sku in back:
            self.fingerprints[sku] = self.known[sku].fingerprint
            self.images -= self.known[sku].images
        return back

    def put_off(self, products: list[Product], limit: int) -> list[Product]:
        """Takes from `products` those beyond the first `limit`, and returns them: the next run is to look at them.

        SKUs that every run looks at, since a photo could not be had, come last, so that they hold up no others.
        """
        if not limit:
            return []
        products.sort(key=lambda product: self._is_looked_at_by_every_run(product.sku))
        waiting = products[limit:]
        del products[limit:]
        for product in waiting:
            del self.fingerprints[product.sku]
        return waiting

    def gone(self) -> list[str]:
        """SKUs that this catalog had and no longer has."""
        return [sku for sku in self._listed_before() if sku not in self.seen]

    def refuse_a_broken_catalog(self, context: RunContext) -> None:
        """Raises CatalogError where so many SKUs are gone that an export has failed rather than a shop changed.

        That is where not a single SKU is left, or where more than GONE_FEW are gone, and with them more than the share
        `store.retire_maximum` of all.
        """
        known, gone, share = len(self._listed_before()), len(self.gone()), context.config.store.retire_maximum
        if share < 1 and gone and (not self.seen or _are_many(gone, known, share)):
            raise CatalogError(
                context.catalog,
                [
                    f"lists {known - gone:,} of the {known:,} SKUs that it had, as if an export had failed; the images "
                    f"of the others would be retired. {_ONCE.format(share)}"
                ],
            )

    def refuse_an_emptying_configuration(self, context: RunContext, emptied: int, waiting: list[Product]) -> None:
        """Raises ConfigError where it asks for no image of so many SKUs that have some that it is rather mistaken.

        `emptied` SKUs are those; they are too many as in `refuse_a_broken_catalog`, of those that are not `waiting`.
        """
        share = context.config.store.retire_maximum
        if share == 1 or not emptied:
            return
        later = {product.sku for product in waiting}
        held = ((sku, one) for sku, one in self.known.items() if one.images > 0 and one.status != "retired")
        having = sum(sku not in later for sku, _ in held)
        if emptied >= having or _are_many(emptied, having, share):
            raise ConfigError(
                f"the configuration asks for no image of {emptied:,} of the {max(having, emptied):,} products that "
                "have some, and all would be taken down: see channels, and techniques, include and exclude under "
                f"variants. {_ONCE.format(share)}"
            )

    def _is_looked_at_by_every_run(self, sku: str) -> bool:
        held = self.known.get(sku)
        return held is not None and not held.fingerprint and held.status != "retired"

    def _listed_before(self) -> list[str]:
        return [sku for sku, held in self.known.items() if held.status != "retired"]


def _are_many(skus: int, of: int, share: float) -> bool:
    return skus > max(GONE_FEW, share * of)


def read_changes(
    context: RunContext,
    tables: Tables,
    scene_photos: Mapping[str, tuple[str, ...]],
    sources: Sources | None = None,
    now_read: Set[str] = frozenset(),
) -> Changes:
    """The state of the catalog's SKUs after the runs before this one; photos are looked at by way of `sources`.

    `scene_photos` are the ids of scenes' photographs; `now_read` as in `Fingerprinter`. Raises StoreError.
    """
    columns = ["sku", "fingerprint", "status", "images"]
    rows = tables.read("skus", columns, [("catalog", "=", context.catalog_name)])
    held = map(LastSeen._make, zip(*(rows[name].to_pylist() for name in columns[1:]), strict=True))
    trusted = context.config.catalog.changes == "updated_at"
    stamps = None if trusted else Stamps(sources or Sources(context.catalog, context.config.catalog))
    salt = salt_of(context, scene_photos)
    known = dict(zip(rows["sku"].to_pylist(), held, strict=True))
    return Changes(known, Fingerprinter(salt, stamps, now_read, rejections(tables)))


def asked_for_first(tables: Tables, skus: list[str]) -> dict[str, str]:
    """Those of these SKUs that no night has listed yet, with what is to be remembered of them instead of a fingerprint.

    The next night looks at them, and retires one that is gone by then. Raises StoreError.
    """
    mine = [("sku", "in", skus), ("status", "!=", "retired")]
    listed = set(tables.read("skus", ["sku"], mine)["sku"].to_pylist())
    return {sku: TO_LOOK_AT for sku in skus if sku not in listed}
