"""Is it another picture than its siblings? The smallest distance to one of them, 0 (the same) to 64.

A distance is the bits in which perceptual hashes differ, or the cells of an 8 x 8 grid whose colours do, whichever are
more: hashes know shapes alone, and a product in another colour has the same.
"""

from tasks.checks import SIBLING_SIDE, Subject
from tasks.imaging.measure import changed_cells, hash_distance, perceptual_hash
from tasks.imaging.pixels import shrink_rgb
from tasks.techniques import Rgb


def measure(subject: Subject) -> float | None:
    """None for the first image of a SKU in its chunk."""
    if not subject.siblings:
        return None
    own = shrink_rgb(subject.pixels.rgb, SIBLING_SIDE)
    return float(min(_distance(own, sibling) for sibling in subject.siblings))


def _distance(rgb_a: Rgb, rgb_b: Rgb) -> int:
    return max(hash_distance(perceptual_hash(rgb_a), perceptual_hash(rgb_b)), changed_cells(rgb_a, rgb_b))
