"""Fingerprints of a catalog's rows, by which a night knows those that have changed, without opening a photo."""

import hashlib
from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import content_id
from catalog_schemas.product import CATALOG_SCHEMA
from configs.schema import VariantMatrix
from tasks.planning.own_colours import colours_named
from tasks.runtime.context import RunContext
from tasks.runtime.versions import (
    FINISHER_VERSION,
    GATE_VERSION,
    OWN_COLOUR_VERSION,
    RENDERER_VERSION,
    TRAINER_VERSION,
)
from tasks.storage.addresses import is_web
from tasks.storage.sources import Sources
from tasks.techniques import find_technique, version_of

STAMPERS = 16  # web servers are asked in parallel, for all of that time is spent waiting for them
_FIELD, _ITEM = "\x1f", "\x1e"  # ASCII's own unit and record separators: a row that holds them is refused anyway


class Stamps:
    """What storage says of the files that rows list, each asked for once, and none of them read."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._known = dict[str, str]()

    def of(self, rows: list[list[str]]) -> list[str]:
        """One text for the files of each row. What lies on the web is asked for at once, not one after another."""
        web = {one for row in rows for one in row if is_web(one) and one not in self._known}
        if web:
            with ThreadPoolExecutor(STAMPERS) as stampers:
                list(stampers.map(self._of_one, web))
        return [_ITEM.join(map(self._of_one, row)) for row in rows]

    def _of_one(self, reference: str) -> str:
        if reference not in self._known:
            stamps = [_quietly(self.sources.stamp, uri) for uri in _quietly_list(self.sources.expand, reference)]
            self._known[reference] = _ITEM.join(stamps)
        return self._known[reference]


@dataclass(frozen=True)
class Fingerprinter:
    """`salt` stands for everything besides a row that decides what is made of it; without `stamps` the catalog is
    trusted to say in a row when its files change.

    To change the fingerprints of some SKUs is to have them looked at once more: of those in `now_read` a photo was
    refused for a format that is read by now, of those in `rejected` a person has turned down images.
    """

    salt: str = ""
    stamps: Stamps | None = None
    now_read: Set[str] = frozenset()
    rejected: Mapping[str, str] = field(default_factory=dict)

    def of(self, batch: pa.RecordBatch) -> list[str]:
        """The fingerprint of each row of `batch`, which has `CATALOG_SCHEMA`."""
        rows = zip(batch["sku"].to_pylist(), row_texts(batch).to_pylist(), self._files(batch), strict=True)
        return [
            hashlib.sha256(f"{self._salt_of(sku)}{_FIELD}{text}{_FIELD}{files}".encode()).hexdigest()
            for sku, text, files in rows
        ]

    def _files(self, batch: pa.RecordBatch) -> list[str]:
        if self.stamps is None:
            return [""] * len(batch)
        listed = zip(batch["references"].to_pylist(), batch["masks"].to_pylist(), strict=True)
        return self.stamps.of([[one for one in (*(photos or ()), *(masks or ())) if one] for photos, masks in listed])

    def _salt_of(self, sku: str) -> str:
        salt = f"{self.salt}{_ITEM}read by now" if sku in self.now_read else self.salt
        return f"{salt}{_ITEM}{self.rejected[sku]}" if sku in self.rejected else salt


def salt_of(context: RunContext, scene_photos: Mapping[str, tuple[str, ...]]) -> str:
    """Everything besides the row that decides what is made of it."""
    config = context.config
    library = context.library()
    fields = VariantMatrix.model_fields
    unused = {name for name in ("attempts", "places") if getattr(config.variants, name) == fields[name].default}
    own = {name: version for name in config.variants.techniques if (version := version_of(find_technique(name)))}
    is_recoloured = any(colour.hex for colour in colours_named(config.variants.colours, library))
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
            *([{"own colour": OWN_COLOUR_VERSION}] if is_recoloured else []),
        ]
    )


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
