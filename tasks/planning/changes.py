"""Which rows of a catalog have changed since the run before: a comparison of fingerprints, without opening a photo."""

import hashlib
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import CatalogError, Rejected
from catalog_schemas.identity import content_id
from catalog_schemas.product import CATALOG_SCHEMA, Product
from catalog_schemas.sku import TO_LOOK_AT
from configs.schema import VariantMatrix
from tasks.publishing.reviews import rejections
from tasks.runtime.context import RunContext
from tasks.runtime.versions import FINISHER_VERSION, GATE_VERSION, RENDERER_VERSION, TRAINER_VERSION
from tasks.storage.addresses import is_web
from tasks.storage.sources import Sources
from tasks.storage.tables import Tables
from tasks.techniques import find_technique, version_of

STAMPERS = 16  # web servers are asked in parallel, for all of that time is spent waiting for them
GONE_FEW = 10  # SKUs: so many may go at once, whatever share of all they are
_FIELD, _ITEM = "\x1f", "\x1e"  # ASCII's own unit and record separators: a row that holds them is refused anyway


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
    for some products, which passes over nothing, all of it stays empty. Once more looked at are the SKUs in `late`, of
    which a photo was refused for a format that is read by now, and those in `rejected`, of which a person has turned
    down images.
    """

    known: dict[str, LastSeen] = field(default_factory=dict)
    salt: str = ""
    sources: Sources | None = None
    late: Set[str] = frozenset()
    rejected: Mapping[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    passed: dict[str, list[str]] = field(default_factory=lambda: {"published": [], "quarantined": []})
    images: int = 0
    seen: set[str] = field(default_factory=set)
    _stamps: dict[str, str] = field(default_factory=dict)

    def select(self, batch: pa.RecordBatch) -> dict[int, str]:
        """The rows of `batch`, in `CATALOG_SCHEMA`, that are new, changed, doubled or without a SKU.

        Returns their positions, each with its fingerprint.
        """
        chosen: dict[int, str] = {}
        listed = batch["references"].to_pylist() if self.sources else [None] * len(batch)
        masks = batch["masks"].to_pylist() if self.sources else listed
        self._ask_ahead([reference for row in (*listed, *masks) for reference in row or ()])
        for position, (sku, text) in enumerate(
            zip(batch["sku"].to_pylist(), row_texts(batch).to_pylist(), strict=True)
        ):
            photos = "" if self.sources is None else self._stamp([*(listed[position] or ()), *(masks[position] or ())])
            salt = f"{self.salt}{_ITEM}read by now" if sku in self.late else self.salt
            salt = f"{salt}{_ITEM}{self.rejected[sku]}" if sku in self.rejected else salt
            fingerprint = hashlib.sha256(f"{salt}{_FIELD}{text}{_FIELD}{photos}".encode()).hexdigest()
            held = self.known.get(sku)
            if held is None or held.fingerprint != fingerprint or sku in self.seen:
                chosen[position] = fingerprint
            else:
                self.passed[held.status].append(sku)
                self.images += held.images
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
        if share < 1 and gone and (not any(self.seen) or gone > max(GONE_FEW, share * known)):
            raise CatalogError(
                context.catalog,
                [
                    f"lists {known - gone:,} of the {known:,} SKUs that it had, as if an export had failed; the images "
                    f"of the others would be retired. If they are to be, run once with store.retire_maximum: 1, which "
                    f"is {share:g} now"
                ],
            )

    def _is_looked_at_by_every_run(self, sku: str) -> bool:
        held = self.known.get(sku)
        return held is not None and not held.fingerprint and held.status != "retired"

    def _listed_before(self) -> list[str]:
        return [sku for sku, held in self.known.items() if held.status != "retired"]

    def _stamp(self, references: list[str]) -> str:
        """What storage says of all files of a row, without reading them."""
        return _ITEM.join(self._stamp_of(reference) for reference in references if reference)

    def _ask_ahead(self, references: list[str | None]) -> None:
        """Stamps what lies on the web, all of it at once instead of one after another."""
        web = dict.fromkeys(one for one in references if one and is_web(one) and one not in self._stamps)
        if web:
            with ThreadPoolExecutor(STAMPERS) as stampers:
                list(stampers.map(self._stamp_of, web))

    def _stamp_of(self, reference: str) -> str:
        if reference not in self._stamps:
            assert self.sources is not None
            stamps = [_quietly(self.sources.stamp, uri) for uri in _quietly_list(self.sources.expand, reference)]
            self._stamps[reference] = _ITEM.join(stamps)
        return self._stamps[reference]


def read_changes(
    context: RunContext,
    tables: Tables,
    scene_photos: Mapping[str, tuple[str, ...]],
    sources: Sources | None = None,
    late: Set[str] = frozenset(),
) -> Changes:
    """The state of the catalog's SKUs after the runs before this one; photos are looked at by way of `sources`.

    `scene_photos` are the ids of scenes' photographs; `late` as in `Changes`. Raises StoreError.
    """
    columns = ["sku", "fingerprint", "status", "images"]
    rows = tables.read("skus", columns, [("catalog", "=", context.catalog_name)])
    held = map(LastSeen._make, zip(*(rows[name].to_pylist() for name in columns[1:]), strict=True))
    trusted = context.config.catalog.changes == "updated_at"
    looked_by = None if trusted else sources or Sources(context.catalog, context.config.catalog)
    known = dict(zip(rows["sku"].to_pylist(), held, strict=True))
    return Changes(known, _salt(context, scene_photos), looked_by, late, rejections(tables))


def asked_for_first(tables: Tables, skus: list[str]) -> dict[str, str]:
    """Those of these SKUs that no night has listed yet, with what is to be remembered of them instead of a fingerprint.

    The next night looks at them, and retires one that is gone by then. Raises StoreError.
    """
    mine = [("sku", "in", skus), ("status", "!=", "retired")]
    listed = set(tables.read("skus", ["sku"], mine)["sku"].to_pylist())
    return {sku: TO_LOOK_AT for sku in skus if sku not in listed}


def row_texts(batch: pa.RecordBatch) -> pa.Array:
    """One text per row of `CATALOG_SCHEMA`: equal for equal rows, different for different ones."""
    return pc.binary_join_element_wise(*(_text(batch[name]) for name in CATALOG_SCHEMA.names), _FIELD)


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_map(column.type):
        keys = pa.ListArray.from_arrays(column.offsets, column.keys)
        items = pa.ListArray.from_arrays(column.offsets, column.items)
        return pc.binary_join_element_wise(_text(keys), _text(items), _ITEM)
    if pa.types.is_list(column.type):
        values = pc.fill_null(column.flatten(), "") if column.null_count == 0 else pc.fill_null(column.values, "")
        return pc.fill_null(pc.binary_join(pa.ListArray.from_arrays(_offsets(column), values), _ITEM), "")
    return pc.fill_null(column.cast(pa.string()), "")


def _offsets(column: pa.ListArray) -> pa.Array:
    """Offsets that count from the first value that `column` itself holds."""
    offsets = column.offsets
    return offsets if column.null_count else pc.subtract(offsets, offsets[0])


def _salt(context: RunContext, scene_photos: Mapping[str, tuple[str, ...]]) -> str:
    """Everything besides the row that decides what is made of it."""
    config = context.config
    library = context.library()
    fields = VariantMatrix.model_fields
    unused = {name for name in ("attempts", "places") if getattr(config.variants, name) == fields[name].default}
    own = {name: version for name in config.variants.techniques if (version := version_of(find_technique(name)))}
    return content_id(
        [
            config.model_dump(mode="json", exclude={"compute": True, "store": True, "model": True, "variants": unused}),
            context.model.identities,
            context.resolution,
            {name: scene.rules for name, scene in library.scenes.items()},
            {name: colour.model_dump(mode="json") for name, colour in library.colours.items()},
            {name: background.model_dump(mode="json") for name, background in library.backgrounds.items()},
            [library.channels[name].rules for name in config.channels],
            [TRAINER_VERSION, RENDERER_VERSION, GATE_VERSION, FINISHER_VERSION],
            # left out where there are none: fingerprints from before there could be any stay as they are
            *([own] if own else []),
            *([dict(scene_photos)] if scene_photos else []),
        ]
    )


def _quietly(stamp: Callable[[str], str], uri: str) -> str:
    """The stamp, or the verdict that a look at the photo will give."""
    try:
        return f"{uri}={stamp(uri)}"
    except Rejected as verdict:
        return f"{uri}={verdict.reason}"


def _quietly_list(expand: Callable[[list[str]], list[str]], reference: str) -> list[str]:
    try:
        return expand([reference])
    except Rejected:
        return []
