"""Does the product keep its colour? CIEDE2000 between the product here and in the photo nearest to it.

Applies where the product's place in the picture is known and its colour was not changed on purpose. Up to 2 is hard to
see, above 5 is another colour.
"""

from tasks.checks import Subject
from tasks.imaging.measure import palette, palette_difference


def measure(subject: Subject) -> float | None:
    """The smallest difference to any photo of the product."""
    mask = subject.pixels.mask
    if mask is None or subject.spec.colour_hex:
        return None
    photos = subject.photos.measured("palette", lambda photo: palette(photo.rgb, photo.mask))
    own = palette(subject.pixels.rgb, mask)
    return min(palette_difference(own, photo) for photo in photos)
