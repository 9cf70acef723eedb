"""Is it this product? The cosine similarity of CLIP image features to the nearest photo of the product, -1 to 1.

Applies where a CLIP model is at hand. A composite shows the product's own pixels, so that this check is about images
that the model drew.
"""

from tasks.checks import Subject

ASKS_SCORER = True


def measure(subject: Subject) -> float | None:
    """The largest similarity to any photo of the product."""
    scorer, own = subject.scorer, subject.features
    if scorer is None or own is None:
        return None
    photos = subject.photos.measured("features", lambda photo: scorer.images([photo.rgb])[0])
    return max(float(photo @ own) for photo in photos)
