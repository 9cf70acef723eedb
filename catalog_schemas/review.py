"""What a person has said of a published image."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from catalog_schemas.identity import content_id

NOTE_MAXIMUM = 500  # characters


class Verdict(StrEnum):
    """A person's word on an image."""

    APPROVED = "approved"  # fit to be shown
    REJECTED = "rejected"  # taken down, and not made again


@dataclass(frozen=True, slots=True)
class Review:
    """A row of `tables/reviews`: the last word on a picture in its place.

    `variant_id` and `slot` say which one, so that it holds for the same picture under a corrected title or a channel's
    new rules, and no longer where a photo or a scene has changed. `image_id` is the image that was looked at.
    """

    sku: str
    slot: str
    variant_id: str
    image_id: str
    verdict: Verdict
    note: str
    run_id: str
    created_at: datetime

    @property
    def id(self) -> str:
        """64 hex digits."""
        return content_id([self.variant_id, self.slot])
