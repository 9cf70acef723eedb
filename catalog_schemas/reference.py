"""One photo of the product, as listed and as prepared."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Photo:
    """A listed photo: its URI, that of its mask (or empty), and the hash of the bytes of both."""

    uri: str
    mask_uri: str
    id: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A prepared photo, decoded, upright and in sRGB, with its mask.

    `id` and `uri` are the listed photo's. `image_key` and `mask_key` are store keys of the
    prepared pixels: an RGB PNG, and a greyscale PNG of the same size, white where the product is. `mask_source` says
    where the mask came from: `given` (the catalog), `alpha` (the photo's own transparency) or `cut_out` (computed).
    `product_share` is the share of the photo that the mask covers: near 0 or 1, the product was not found.
    `confidence`, 0 to 1, says how clean the cut-out looks.
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

    @property
    def has_cut_out(self) -> bool:
        """Whether the mask is fit for putting the product into another picture."""
        return 0.01 < self.product_share < 0.95
