"""Is it this product? The cosine similarity of CLIP image features to the nearest photo of the product, -1 to 1.

Applies where a CLIP model is at hand. A composite shows the product's own pixels, so that this check is about images
that the model drew.
"""

from tasks.checks import Subject


def measure(subject: Subject) -> float | None:
    """The largest similarity to any photo of the product."""
    if subject.scorer is None:
        return None
    photos = subject.scorer.images([photo.rgb for photo in subject.photos()])
    return float((photos @ subject.scorer.images([subject.pixels.rgb])[0]).max())
