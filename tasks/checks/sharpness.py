"""Is it in focus? The energy of the Laplacian, over the product where its mask is known."""

from tasks.checks import Subject
from tasks.imaging.measure import sharpness


def measure(subject: Subject) -> float | None:
    """See `tasks.imaging.measure.sharpness`."""
    return sharpness(subject.pixels.rgb, subject.pixels.mask)
