"""Does the product fill its picture? The longer side of its box as a share of the picture's, where it is known."""

from tasks.checks import Subject
from tasks.imaging.measure import fill_ratio


def measure(subject: Subject) -> float | None:
    """See `tasks.imaging.measure.fill_ratio`."""
    return None if subject.pixels.mask is None else fill_ratio(subject.pixels.mask)
