"""What runs have seen of a catalog's photos: their versions on the web, and which of them too many products list.

A shop that has no photo of a product often shows one that says so, or its logo. Trained on, it becomes the product. It
is known by the many products that list it: all of the catalog is counted, whichever SKUs a run looks at and in
whatever order they come.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import content_id
from catalog_schemas.reference import PhotoRecord
from catalog_schemas.rejection import Reason
from tasks.planning.photos import Listed
from tasks.runtime.context import RunContext
from tasks.storage.sources import Seen
from tasks.storage.tables import Tables

_GROUPS = ("item_group_id", "handle")  # attributes that importers give to the variants of one product
_COLUMNS = ["sku", "uri", "content", "product", "title", "stamp"]


@dataclass(frozen=True)
class KnownPhotos:
    """The photos that the catalog's SKUs list, as far as runs have looked at them."""

    context: RunContext
    tables: Tables

    @cached_property
    def rows(self) -> pa.Table:
        """The listed ones, read when they are first asked for."""
        mine = [("catalog", "=", self.context.catalog_name), ("content", "!=", "")]
        return self.tables.read("photos", _COLUMNS, mine)

    def seen(self) -> dict[str, Seen]:
        """What web addresses held."""
        rows = self.rows.filter(pc.not_equal(self.rows["stamp"], ""))
        values = zip(rows["stamp"].to_pylist(), rows["content"].to_pylist(), strict=True)
        return {uri: Seen(*value) for uri, value in zip(rows["uri"].to_pylist(), values, strict=True)}

    def placeholders_before(self) -> dict[str, int]:
        """What the run before took for placeholders."""
        return self._common(self.rows)

    def placeholders(self, listed: Sequence[Listed], gone: Iterable[str]) -> dict[str, int]:
        """The hashes of photos that too many products list, with how many do.

        `listed` are the products that are looked at just now; the SKUs in `gone` no longer list anything.
        """
        sure = [one.product.sku for one in listed if not one.awaits_photos]
        elsewhere = self.rows.filter(pc.invert(pc.is_in(self.rows["sku"], pa.array([*sure, *gone], pa.string()))))
        fresh = [row for one in listed for row in _rows_of(one)]
        columns = ("content", "product", "title")
        here = pa.table({name: pa.array([row[name] for row in fresh], pa.string()) for name in columns})
        return self._common(pa.concat_tables([elsewhere.select(columns), here]))

    def skus_that_list(self, contents: Iterable[str]) -> set[str]:
        """The SKUs that list any of these photos."""
        return set(self._of("content", contents)["sku"].to_pylist())

    def news(self, listed: Sequence[Listed], gone: Sequence[str]) -> list[PhotoRecord]:
        """What the table must be told: photos that are new, have changed, or are no longer listed.

        A photo that cannot be had just now is still listed.
        """
        looked_at = [one.product.sku for one in listed]
        known: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
        for row in self._of("sku", [*looked_at, *gone]).to_pylist():
            known[row["sku"]][row["uri"]] = row
        records = [self._record(row, "") for sku in gone for row in known[sku].values()]
        for one in listed:
            held, now = known[one.product.sku], {row["uri"]: row for row in _rows_of(one)}
            records += [self._record(row, row["content"]) for uri, row in now.items() if held.get(uri) != row]
            if not one.awaits_photos:
                records += [self._record(row, "") for uri, row in held.items() if uri not in now]
        return records

    def _of(self, column: str, values: Iterable[str]) -> pa.Table:
        return self.rows.filter(pc.is_in(self.rows[column], pa.array(list(values), pa.string())))

    def _common(self, rows: pa.Table) -> dict[str, int]:
        least = self.context.config.catalog.placeholder_products
        if len(rows) < least:
            return {}
        photos = rows.filter(pc.not_equal(rows["product"], ""))
        counts = photos.group_by("content").aggregate([("product", "count_distinct"), ("title", "count_distinct")])
        fewer = pc.min_element_wise(counts["product_count_distinct"], counts["title_count_distinct"])
        common = pc.greater_equal(fewer, least)
        return dict(zip(counts["content"].filter(common).to_pylist(), fewer.filter(common).to_pylist(), strict=True))

    def _record(self, row: dict[str, str], content: str) -> PhotoRecord:
        context = self.context
        rest = {name: row[name] for name in ("sku", "uri", "product", "title", "stamp")}
        return PhotoRecord(
            **rest, content=content, catalog=context.catalog_name, run_id=context.run_id, updated_at=context.started_at
        )


def without_placeholders(listed: Listed, placeholders: dict[str, int]) -> Listed:
    """The product with those of its photos that are none, and a verdict on each that is."""
    found = [photo for photo in listed.photos if photo.content in placeholders]
    if not found:
        return listed
    photos = [photo for photo in listed.photos if photo.content not in placeholders]
    verdicts = [(photo.uri, _verdict(photo.uri, placeholders[photo.content])) for photo in found]
    return replace(listed, photos=photos, faults=[*listed.faults, *verdicts])


def _verdict(uri: str, products: int) -> Rejected:
    detail = f"{uri} is the photo of {products} different products, so it shows none of them; send a photo of this one"
    return Rejected(Reason.REFERENCE_PLACEHOLDER, detail)


def _rows_of(listed: Listed) -> list[dict[str, str]]:
    """A row for each photo, and for each mask on the web."""
    product = listed.product
    group = next((text for name in _GROUPS if (text := product.attributes.get(name))), product.title)
    names = {"product": _short(group), "title": _short(product.title)}
    rows = []
    for photo in listed.photos:
        rows.append({"sku": product.sku, "uri": photo.uri, "content": photo.content, **names, "stamp": photo.stamp})
        if photo.mask_stamp:
            mask = {"sku": product.sku, "uri": photo.mask_uri, "content": photo.mask_content}
            rows.append({**mask, "product": "", "title": "", "stamp": photo.mask_stamp})
    return rows


def _short(text: str) -> str:
    return content_id(" ".join(text.casefold().split()))[:16]
