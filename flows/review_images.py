"""The merchandisers' word on images: which are good, and which are to go."""

from datetime import UTC, datetime

from prefect import flow

from catalog_schemas.review import Verdict
from flows.commands.existing_store import existing_store
from flows.parameters import ReviewParameters
from tasks.reporting.artifacts import show_reviews
from tasks.review_images import Reviewed
from tasks.review_images import review_images as review
from tasks.runtime.context import new_run_id
from tasks.runtime.outages import outlived


@flow(name="review-images", persist_result=False)
def review_images(parameters: ReviewParameters) -> Reviewed:
    """Takes rejected images down, and remembers which are approved.

    In the gallery click ✓ or ✗ on images, press Copy at the bottom, and paste it here. What is rejected is gone from
    the store's tables at once; the next night makes it with another seed. It is never made again as it was.
    """
    now = datetime.now(UTC)
    named = {Verdict.REJECTED: parameters.reject, Verdict.APPROVED: parameters.approve}
    with outlived():
        done = review(existing_store(parameters.store), named, parameters.note, f"review-{new_run_id(now)}", now)
    show_reviews(done)
    return done
