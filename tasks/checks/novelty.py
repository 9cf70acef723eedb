"""Is it another picture than its siblings? The smallest distance of perceptual hashes, 0 (the same) to 64 bits."""

from tasks.checks import SIBLING_SIDE, Subject
from tasks.imaging.measure import hash_distance, perceptual_hash
from tasks.imaging.pixels import shrink_rgb


def measure(subject: Subject) -> float | None:
    """None for the first image of a SKU in its chunk."""
    if not subject.siblings:
        return None
    own = perceptual_hash(shrink_rgb(subject.pixels.rgb, SIBLING_SIDE))
    return float(min(hash_distance(own, perceptual_hash(sibling)) for sibling in subject.siblings))
