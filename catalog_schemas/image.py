"""One published image, and the verdicts that let it pass."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One measured verdict on a draft: `value` against its bounds (either may be None)."""

    name: str
    value: float
    minimum: float | None
    maximum: float | None

    @property
    def passed(self) -> bool:
        """NaN never passes."""
        above = self.minimum is None or self.value >= self.minimum
        below = self.maximum is None or self.value <= self.maximum
        return self.value == self.value and above and below


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One rendition of one variant: a row of `tables/images`, with all that is needed to make it again.

    `image_id` is the hash of the variant, the channel's rules and the product's title; `slot` (SKU, channel and variant
    name) stays the same when the pixels change, and at most one row of a slot is live (`retired_at` is null). `key` is
    the store key of the image file, `sha256` and `bytes` describe it. `spec` is the canonical JSON of the
    `VariantSpec`, `checks` of its `CheckResult`s. `origin` is "catalog" for the matrix of the nightly run and "request"
    for images that a person asked for: only the former are retired when the matrix no longer has them.
    """

    image_id: str
    variant_id: str
    slot: str
    sku: str
    title: str
    channel: str
    scene: str
    colour: str
    background: str
    technique: str
    seed: int
    prompt: str
    negative_prompt: str
    adapter_id: str
    base_model: str
    steps: int
    guidance: float
    scheduler: str
    key: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    alt_text: str
    checks: str
    spec: str
    origin: str
    run_id: str
    created_at: datetime
    retired_at: datetime | None = None
