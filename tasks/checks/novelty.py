"""Is it another picture than its siblings? The smallest distance of perceptual hashes, 0 (the same) to 64 bits."""

from tasks.checks import Subject
from tasks.imaging.measure import hash_distance, perceptual_hash


def measure(subject: Subject) -> float | None:
    """None for the first image of a SKU in its chunk."""
    if not subject.siblings:
        return None
    own = perceptual_hash(subject.pixels.rgb)
    return float(min(hash_distance(own, perceptual_hash(sibling.rgb)) for sibling in subject.siblings))
