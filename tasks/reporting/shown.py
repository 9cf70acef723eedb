"""Products and images as a gallery shows them: what a run's page and the page of live images have in common."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from catalog_schemas.rejection import Rejection
from catalog_schemas.review import Verdict
from catalog_schemas.variant import VariantSpec
from tasks.publishing.json_columns import CHECKS, SPEC
from tasks.publishing.reviews import Verdicts, pictures_of
from tasks.reporting.gallery import GalleryImage, GalleryPhoto
from tasks.reporting.served import small_at
from tasks.runtime.pictures import photo_key, small_photo_key
from tasks.runtime.threads import Threads
from tasks.storage.merging import first_of_each
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

COLUMNS = [
    "sku", "title", "channel", "scene", "colour", "background", "technique", "seed", "prompt", "key", "width", "height",
    "alt_text", "checks", "spec", "slot", "variant_id",
]  # fmt: skip
READERS = 8  # objects asked for at once: most of that time is spent waiting for storage
Row = dict[str, Any]


def rows_to_show(tables: Tables, skus: Sequence[str], unpublished: pa.Table | None = None) -> pa.Table:
    """The live images of some SKUs: `COLUMNS`, and in `verdict` what people have said of them.

    Rows that are not published yet come first, and in the place of those that they will replace. Raises StoreError.
    """
    rows = tables.live_images(COLUMNS, list(skus))
    if unpublished is not None:
        new = unpublished.select(COLUMNS).filter(pc.is_in(unpublished["sku"], pa.array(skus, pa.string())))
        rows = pa.concat_tables([new, rows.filter(pc.invert(pc.is_in(rows["slot"], new["slot"])))])
    return rows.append_column("verdict", Verdicts(tables, skus).of(rows))


def rejected_rows(tables: Tables, skus: Sequence[str]) -> pa.Table:
    """The images of some SKUs that people have rejected, live or not, of each picture the last: as `rows_to_show`, with
    their `note`. Raises StoreError."""
    rows = tables.read("images", [*COLUMNS, "created_at"], [("sku", "in", list(skus))])
    verdicts = Verdicts(tables, skus, notes=True)
    rows = rows.append_column("verdict", verdicts.of(rows)).append_column("note", verdicts.notes_of(rows))
    rows = rows.append_column("picture", pictures_of(rows)).sort_by([("created_at", "descending")])
    return first_of_each(rows.filter(pc.equal(rows["verdict"], Verdict.REJECTED)), "picture")


class Shown:
    """Rows of `rows_to_show` or `rejected_rows` as a page refers to them, by SKU. `root` is the page's way to the
    store: "../", or a URL that ends in a slash.

    Raises StoreError.
    """

    def __init__(self, store: ObjectStore, root: str, rows: pa.Table) -> None:
        self.store, self.root = store, root
        self.rows = defaultdict[str, list[Row]](list)
        for row in rows.to_pylist():
            self.rows[row["sku"]].append(row)
        photos = [photo for sku in list(self.rows) for photo in self._references(sku)]
        self._small = self._kept(map(small_photo_key, photos))
        rejected = (row["key"] for of_sku in self.rows.values() for row in of_sku if row["verdict"] == Verdict.REJECTED)
        self._rejected = self._kept(rejected)  # of the others verify knows
        self._there = self._kept(photo_key(one) for one in photos if small_photo_key(one) not in self._small)

    def images(self, sku: str) -> tuple[GalleryImage, ...]:
        """The images of a SKU, in the order of its rows."""
        return tuple(self._image(row) for row in self.rows[sku])

    def photos(self, sku: str) -> tuple[GalleryPhoto, ...]:
        """Its photos, as far as the store still has them: they are a cache."""
        return tuple(photo for one in self._references(sku) if (photo := self._photo(one)))

    def title(self, sku: str) -> str:
        """Its title, as its images have it."""
        return next((row["title"] for row in self.rows[sku]), "")

    def refused_photos(self, rejections: Iterable[Rejection]) -> tuple[GalleryPhoto, ...]:
        """Those of the refusals that are about photos."""
        refused = (one for one in rejections if one.is_about_photo)
        return tuple(GalleryPhoto("", reason=str(one.reason), detail=one.detail) for one in refused)

    def refused(self, rejection: Rejection, spec: VariantSpec) -> GalleryImage:
        """An image that was refused, with its draft where that is still there."""
        key = f"cache/drafts/{rejection.variant_id}.png"
        return GalleryImage(
            uri=self._at(key) if self.store.exists(key) else "",
            scene=spec.scene,
            colour=spec.colour,
            background=spec.background,
            technique=spec.technique,
            colour_hex=spec.colour_hex,
            prompt=spec.prompt,
            seed=spec.seed,
            reason=str(rejection.reason),
            detail=rejection.detail,
        )

    def _photo(self, photo: str) -> GalleryPhoto | None:
        key, small = photo_key(photo), small_photo_key(photo)
        if small in self._small:
            return GalleryPhoto(self._at(key), small=self._at(small))
        return GalleryPhoto(self._at(key)) if key in self._there else None  # an older packshot made no small ones

    def _image(self, row: Row) -> GalleryImage:
        is_gone = row["verdict"] == Verdict.REJECTED and row["key"] not in self._rejected
        return GalleryImage(
            uri="" if is_gone else self._at(row["key"]),
            scene=row["scene"],
            colour=row["colour"],
            background=row["background"],
            technique=row["technique"],
            alt_text=row["alt_text"],
            colour_hex=SPEC.validate_json(row["spec"]).colour_hex,
            channel=row["channel"],
            prompt=row["prompt"],
            seed=row["seed"],
            width=row["width"],
            height=row["height"],
            checks=CHECKS.validate_json(row["checks"]),
            key=row["key"],
            said=row["verdict"],
            note=row.get("note", ""),
            small=small_at(self._at(row["key"])) if self.root.startswith("..") else "",
        )

    def _references(self, sku: str) -> list[str]:
        """The ids of the photos that its images were made of."""
        specs = (SPEC.validate_json(row["spec"]) for row in self.rows[sku][:1])
        return [reference for spec in specs for reference in spec.references]

    def _kept(self, keys: Iterable[str]) -> set[str]:
        listed = sorted(set(keys))
        with Threads(READERS) as readers:
            return {key for key, there in zip(listed, readers.map(self.store.exists, listed), strict=True) if there}

    def _at(self, key: str) -> str:
        return self.root + quote(key)
