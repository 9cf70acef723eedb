"""Is there a picture at all? The standard deviation of the pixels' values, 0 to 127; a blank image has 0."""

from tasks.checks import Subject
from tasks.imaging.measure import uniformity


def measure(subject: Subject) -> float | None:
    """Spread of the values over all pixels and channels."""
    return uniformity(subject.pixels.rgb)
