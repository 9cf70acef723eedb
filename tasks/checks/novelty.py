"""Is it another picture than its siblings? The smallest distance to one of them, 0 (the same) to 64.

A distance is the bits in which perceptual hashes differ, or the cells of an 8 x 8 grid whose colours do, whichever are
more: hashes know shapes alone, and a product in another colour has the same.
"""

from tasks.checks import Subject
from tasks.imaging.measure import changed_cells, hash_distance, perceptual_hash


def measure(subject: Subject) -> float | None:
    """None for the first image of a SKU in its chunk."""
    if not subject.siblings:
        return None
    own = subject.small
    shape = perceptual_hash(own)
    distances = (
        max(hash_distance(shape, perceptual_hash(sibling)), changed_cells(own, sibling)) for sibling in subject.siblings
    )
    return float(min(distances))
