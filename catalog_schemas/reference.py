"""One photo of the product, decoded, upright and in sRGB, with its mask."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reference:
    """A prepared photo.

    `uri` is where it came from and `sha256` the hash of those bytes. `image_key` and `mask_key` are store keys of the
    prepared pixels: an RGB PNG, and a greyscale PNG of the same size, white where the product is. `mask_source` says
    where the mask came from: `given` (the catalog), `alpha` (the photo's own transparency) or `cut_out` (computed).
    """

    uri: str
    sha256: str
    image_key: str
    mask_key: str
    width: int
    height: int
    mask_source: str
