"""One photo of the product, as listed, as remembered from run to run, and as prepared."""

from dataclasses import dataclass
from datetime import datetime

from catalog_schemas.identity import content_id


@dataclass(frozen=True, slots=True)
class Photo:
    """A listed photo: its URI, that of its mask (or empty), and the hash of all that decides what is prepared of it.

    `content` and `mask_content` are the hashes of each alone. `stamp` and `mask_stamp` are what a web server says of
    their versions, and empty for all else.
    """

    uri: str
    mask_uri: str
    id: str
    content: str = ""
    mask_content: str = ""
    stamp: str = ""
    mask_stamp: str = ""


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A row of `tables/photos`: a photo or mask that a SKU lists, as the last run saw it that looked at the SKU.

    `content` is the hash of its bytes, or empty where the SKU no longer lists it. `product` and `title` are short
    hashes of the product that the SKU is a variant of and of its title, empty for a mask. `stamp` is what a web server
    says of its version, else empty.
    """

    sku: str
    catalog: str
    uri: str
    content: str
    product: str
    title: str
    stamp: str
    run_id: str
    updated_at: datetime

    @property
    def id(self) -> str:
        """One row for each place where a photo is listed."""
        return content_id([self.catalog, self.sku, self.uri])


@dataclass(frozen=True, slots=True)
class Reference:
    """A prepared photo, decoded, upright and in sRGB, with its mask.

    `id` and `uri` are the listed photo's. `image_key` and `mask_key` are store keys of the
    prepared pixels: an RGB PNG, and a greyscale PNG of the same size, white where the product is. `mask_source` says
    where the mask came from: `given` (the catalog), `alpha` (the photo's own transparency) or `cut_out` (computed).
    `product_share` is the share of the photo that the mask covers: near 0 or 1, the product was not found.
    `confidence`, 0 to 1, says how clean the cut-out looks, `is_plain` whether there is nothing but a plain backdrop
    around the product, as far as it was looked at.
    """

    id: str
    sku: str
    uri: str
    image_key: str
    mask_key: str
    width: int
    height: int
    mask_source: str
    product_share: float
    confidence: float
    is_plain: bool = True

    @property
    def has_cut_out(self) -> bool:
        """Whether the mask is fit for putting the product into another picture."""
        return 0.01 < self.product_share < 0.95


References = dict[str, tuple[Reference, ...]]
"""Usable photos of some SKUs, by SKU, unless a docstring names another key."""
