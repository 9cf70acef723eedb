"""Which rows of a catalog a run looks at: those that have changed since the night before, or those asked for."""

from dataclasses import dataclass, field

import pyarrow as pa

from catalog_schemas.errors import ConfigError
from catalog_schemas.product import Product
from catalog_schemas.rejection import Rejection
from tasks.planning.changes import Changes
from tasks.planning.unknown_skus import refuse_unknown
from tasks.read_catalog import RowReader, catalog_batches
from tasks.runtime.context import RunContext


@dataclass(frozen=True)
class Selection:
    """Which products of the catalog a run is about; empty fields select all.

    Of the whole catalog, `limit` are looked at in one run, where it is not 0: the others wait for the next ones.
    """

    skus: tuple[str, ...] = ()
    category: str = ""
    limit: int = 0

    @property
    def is_all(self) -> bool:
        """Whether the whole catalog is meant, so that what it no longer has is to be retired."""
        return not self.skus and not self.category

    def holds(self, product: Product) -> bool:
        """Whether the product is meant: its SKU is named, and its category contains the one asked for."""
        named = not self.skus or product.sku in self.skus
        return named and product.is_in(self.category)


@dataclass(frozen=True)
class Rows:
    """The products of the rows that a run looks at, and the verdicts on those rows that are no product."""

    products: list[Product] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def changed_rows(context: RunContext, changes: Changes) -> Rows:
    """The new and changed ones, as `changes` finds them. Raises CatalogError, also where too many SKUs are gone."""
    reader, rows, first = RowReader(context.run_id, context.started_at), Rows(), 1
    for batch in catalog_batches(context.catalog):
        chosen = changes.select(batch)
        reader.seen |= {sku for at, sku in enumerate(batch["sku"].to_pylist()) if at not in chosen}
        taken = batch.take(pa.array(chosen, pa.int64())).to_pylist(maps_as_pydicts="lossy")
        judged = reader.read(taken, [first + at for at in chosen])
        accepted = zip(judged.products, judged.numbers, strict=True)
        changes.fingerprints |= {product.sku: chosen[number - first] for product, number in accepted}
        rows.products.extend(judged.products)
        rows.rejections.extend(judged.rejections)
        first += len(batch)
    changes.refuse_a_broken_catalog(context)
    return rows


def selected_rows(context: RunContext, selection: Selection) -> Rows:
    """Those of the selection. Raises CatalogError, and ConfigError for a SKU or category that the catalog lacks."""
    reader, rows, first = RowReader(context.run_id, context.started_at), Rows(), 1
    for batch in catalog_batches(context.catalog):
        numbers = list(range(first, first + len(batch)))
        judged = reader.read(batch.to_pylist(maps_as_pydicts="lossy"), numbers)
        rows.products.extend(product for product in judged.products if selection.holds(product))
        rows.rejections.extend(verdict for verdict in judged.rejections if verdict.sku in selection.skus)
        first += len(batch)
    refuse_unknown(selection.skus, reader.seen | {verdict.sku for verdict in rows.rejections})
    if not rows.products and not rows.rejections:
        raise ConfigError(f"no product of {context.catalog} is in the category {selection.category!r}")
    return rows
