"""Looks at the photos of a run's products, several products at once, and finds photos that too many of them list."""

from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import Rejected
from catalog_schemas.product import Product
from tasks.planning.changes import Changes
from tasks.planning.known_photos import KnownPhotos
from tasks.planning.photos import Listed, list_photos
from tasks.read_catalog import RowReader, catalog_batches
from tasks.runtime.context import RunContext
from tasks.runtime.threads import Threads
from tasks.storage.sources import Sources

READERS = 8  # photos are hashed in parallel, for most of that time is spent waiting for storage


@contextmanager
def look_at(context: RunContext, known: KnownPhotos, sources: Sources) -> Iterator["Look"]:
    """A `Look` whose threads end with the block."""
    with Threads(READERS) as readers:
        yield Look(context, known, sources, readers)


@dataclass(frozen=True)
class Look:
    """Looks at photos, several SKUs at once."""

    context: RunContext
    known: KnownPhotos
    sources: Sources
    readers: Threads

    def at(self, products: Iterable[Product]) -> list[Listed]:
        """The products with their photos; a verdict on the whole SKU comes back as one on the SKU."""
        return list(self.readers.map(self._photos, products))

    def placeholders(self, listed: list[Listed], gone: list[str], changes: Changes | None) -> dict[str, int]:
        """The hashes of photos that too many products list, with how many do.

        A photo that has become one, or is one no longer, concerns SKUs that have not changed: they are added to
        `listed`, and taken from those that `changes` passed over. A run for some products goes by what runs over the
        whole catalog have seen; before the first of those, by what other rows list under the same name.
        """
        if not self.context.config.catalog.placeholder_products or not (listed or gone):
            return {}
        if changes is None and not len(self.known.rows):
            others = self.at(self._listing_the_same([one.product for one in listed]))
            return self.known.placeholders([*listed, *others], gone)
        now = self.known.placeholders(listed, gone)
        turned = now.keys() ^ self.known.placeholders_before().keys()
        if changes is not None and turned:
            listed += self.at(_named(self.context, changes.take_back(self.known.skus_that_list(turned))))
        return now

    def _listing_the_same(self, products: list[Product]) -> list[Product]:
        """Rows that list a reference of these products, reduced to those references."""
        mine, skus = {one for product in products for one in product.references}, {one.sku for one in products}
        reader, others = RowReader("", self.context.started_at), list[Product]()
        for batch in catalog_batches(self.context.catalog):
            references = batch["references"]
            shared = pc.is_in(references.flatten(), pa.array(list(mine), pa.string()))
            at = pc.unique(pc.list_parent_indices(references).filter(shared))
            for product in reader.read(batch.take(at).to_pylist(maps_as_pydicts="lossy"), at.to_pylist()).products:
                if product.sku not in skus:
                    same = tuple(one for one in product.references if one in mine)
                    others.append(replace(product, references=same, masks=()))
        return others

    def _photos(self, product: Product) -> Listed:
        try:
            segmenter = self.context.model.segmenter_identity
            return list_photos(product, self.sources, self.context.config.catalog, segmenter)
        except Rejected as verdict:
            return Listed(product, [], [(product.sku, verdict)])


def _named(context: RunContext, skus: Set[str]) -> Iterator[Product]:
    """The products of these SKUs, all of which the catalog holds."""
    reader = RowReader("", context.started_at)
    for batch in catalog_batches(context.catalog):
        rows = batch.filter(pc.is_in(batch["sku"], pa.array(sorted(skus), pa.string())))
        yield from reader.read(rows.to_pylist(maps_as_pydicts="lossy"), list(range(len(rows)))).products
