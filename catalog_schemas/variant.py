"""One image to make, and all the work that one SKU needs."""

from dataclasses import dataclass

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.identity import content_id
from catalog_schemas.product import Product


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """All that determines one draft: SKU × scene × colour × background × technique × seed, fully resolved.

    `prompt` and `negative_prompt` are the final texts, `colour_hex` and `background_hex` are "#rrggbb" or empty.
    `adapter_id` is empty for a technique that uses none. `references` are the sorted sha256 of the photos, for they
    are the pixels of a composite. `width` and `height` are the draft's pixels.
    """

    sku: str
    scene: str
    colour: str
    background: str
    technique: str
    seed: int
    prompt: str
    negative_prompt: str
    colour_hex: str
    background_hex: str
    adapter_id: str
    base_model: str
    references: tuple[str, ...]
    steps: int
    guidance: float
    scheduler: str
    width: int
    height: int
    renderer_version: int

    @property
    def id(self) -> str:
        """64 hex digits."""
        return content_id(self)

    @property
    def name(self) -> str:
        """What it is, in words; the same slot of the matrix keeps its name when its pixels change."""
        return "_".join((self.scene, self.colour, self.background, self.technique, str(self.seed)))


@dataclass(frozen=True, slots=True)
class SkuJob:
    """What a run does for one SKU: the adapter it needs, and the variants to make with it."""

    product: Product
    adapter: AdapterSpec
    variants: tuple[VariantSpec, ...]
