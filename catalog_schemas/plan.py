"""What a run will do, and why."""

from dataclasses import dataclass, field

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from catalog_schemas.product import Listing, Product
from catalog_schemas.reference import Photo, PhotoRecord
from catalog_schemas.rejection import Rejection
from catalog_schemas.variant import VariantSpec


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """A variant and the channels it is still missing from; `reason` is why: new, photo changed, scene changed …

    `title` is the product's, which is written into the files. `attempts` is how many seeds it is tried with at most,
    this one among them, until one passes the checks.
    """

    spec: VariantSpec
    channels: tuple[str, ...]
    reason: str
    title: str
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class SkuJob:
    """What a run does for one SKU.

    `adapter` is None where no variant needs one; `train` is the reason to train it, or empty where it is there, and
    `start` the class adapter that it begins with.
    """

    product: Product
    photos: tuple[Photo, ...]
    adapter: AdapterSpec | None
    train: str
    variants: tuple[PlannedVariant, ...]
    start: AdapterSpec | None = None

    @property
    def images(self) -> int:
        """How many are to be made: one of each variant for each of its channels."""
        return sum(len(one.channels) for one in self.variants)

    @property
    def own_adapter(self) -> AdapterSpec:
        """The adapter of a SKU that is known to need one."""
        assert self.adapter is not None, f"SKU {self.product.sku} needs no adapter"
        return self.adapter


@dataclass(frozen=True, slots=True)
class Plan:
    """All the work of a run.

    `jobs` holds SKUs with something to do, `skipped` counts SKUs whose images are all in the store and `waiting` those
    that are left to the next run, `quarantined` names SKUs whose row or photos were refused, with the verdicts in
    `rejections`. `images_skipped` counts images that the store holds and `images_refused` those that the quality gate
    refused before, or a person, and that no other seed is to replace.

    `fingerprints` and `held`, by SKU, are what the next run is to know of the SKUs that were looked at, and how many
    images they have already. `retired` holds the ids of live images whose SKU or whose place in the matrix is gone,
    `gone` the SKUs whose row is gone. `classes` holds the class adapters that the store lacks, `photos` the photos
    that the next run is to know, and `listings`, by SKU, what the shop calls the products that were looked at. Of the
    adapters that jobs need and the tables name, `adapters` holds the files by id, and `lost` those that are gone.
    `warnings` are sentences for whoever wrote the configuration.
    """

    jobs: tuple[SkuJob, ...]
    rows: int
    skipped: int
    waiting: int
    quarantined: tuple[str, ...]
    rejections: tuple[Rejection, ...]
    images_skipped: int
    images_refused: int
    fingerprints: dict[str, str]
    held: dict[str, int]
    retired: tuple[str, ...]
    gone: tuple[str, ...]
    classes: tuple[AdapterSpec, ...] = ()
    photos: tuple[PhotoRecord, ...] = ()
    listings: dict[str, Listing] = field(default_factory=dict)
    adapters: dict[str, AdapterFile] = field(default_factory=dict)
    lost: dict[str, AdapterFile] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
