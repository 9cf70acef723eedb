"""The verdict on a row, a photo or an image that cannot be used, with its reason code."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from catalog_schemas.identity import content_id


class Reason(StrEnum):
    """Why something was refused. The value is stored; the comment says what it means, and who is to act."""

    ROW_FIELD_MISSING = "row_field_missing"  # the catalog: a required field is null or blank
    ROW_FIELD_INVALID = "row_field_invalid"  # the catalog: a field is too long or holds control characters
    ROW_DUPLICATE_SKU = "row_duplicate_sku"  # the catalog: a second row claims the SKU; the first is kept
    ROW_NO_REFERENCES = "row_no_references"  # the catalog: no photo is listed, or the folder holds none
    REFERENCE_MISSING = "reference_missing"  # the photo does not exist
    REFERENCE_FORBIDDEN = "reference_forbidden"  # its URL is outside what the configuration allows
    REFERENCE_TOO_LARGE = "reference_too_large"  # more bytes or pixels than allowed
    REFERENCE_UNREADABLE = "reference_unreadable"  # of a format that is not read, or damaged
    REFERENCE_TOO_SMALL = "reference_too_small"  # too few pixels to learn from
    REFERENCE_BLANK = "reference_blank"  # one uniform colour
    REFERENCE_DUPLICATE = "reference_duplicate"  # the same bytes are listed twice for the SKU
    REFERENCE_PLACEHOLDER = "reference_placeholder"  # many products list it: it stands for a photo that is not there
    REFERENCE_DENIED = "reference_denied"  # its server refuses to hand it out
    REFERENCE_UNREACHABLE = "reference_unreachable"  # its server failed; the next run asks again
    REFERENCE_TIMED_OUT = "reference_timed_out"  # its server was too slow; the next run asks again
    REFERENCE_CHANGED = "reference_changed"  # another photo than the run had planned with; the next run takes it up
    MASK_UNREADABLE = "mask_unreadable"  # the given mask is damaged, of another size or inverted
    SKU_NO_USABLE_REFERENCES = "sku_no_usable_references"  # every photo was refused
    ADAPTER_LOST = "adapter_lost"  # the file of the adapter is gone or damaged; the next run trains it again
    TRAINING_DIVERGED = "training_diverged"  # the loss became NaN or infinite
    RENDER_FAILED = "render_failed"  # the image could not be computed
    CHECK_FAILED = "check_failed"  # the quality gate refused the image
    FINISH_FAILED = "finish_failed"  # the channel's rules cannot be met


PASSING = frozenset(
    {Reason.REFERENCE_UNREACHABLE, Reason.REFERENCE_TIMED_OUT, Reason.REFERENCE_CHANGED, Reason.ADAPTER_LOST}
)
"""Reasons that may be gone by the next run, which therefore looks again although nothing has changed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One thing that was refused: where in the pipeline, why, and what exactly.

    `stage` is the name of the stage file that refused it; `subject` is the photo's URI, "row 7", the SKU or, for
    an adapter or an image, the id of what was tried. `variant_id` is empty unless an image was refused. `run_id` and
    `created_at` are those of the last run that refused it.
    """

    sku: str
    stage: str
    reason: Reason
    subject: str
    detail: str
    run_id: str
    created_at: datetime
    variant_id: str = ""

    @property
    def is_about_photo(self) -> bool:
        """Whether a photo or its mask was refused, rather than a row, a SKU or an image."""
        return self.reason.startswith(("reference_", "mask_"))

    @property
    def id(self) -> str:
        """The same refusal on two nights has one id, and so one row in `tables/rejections`."""
        return content_id([self.sku, self.stage, self.reason, self.subject, self.variant_id])
