"""One drawn image before it is finished for any channel."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Draft:
    """A variant's pixels: `image_key` is the store key of an RGB PNG, `mask_key` of the product's mask where the
    technique knows it, else empty. `seconds` is its share of the chunk's drawing time."""

    variant_id: str
    image_key: str
    mask_key: str
    seconds: float
