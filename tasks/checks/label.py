"""Is what is written on it what is written on the product? 0 (other or no letters) to 1 (the same ones).

Models draw letters that are none. Measured is Dice's coefficient of pairs of neighbouring letters (Dice 1945; for texts
Adamson & Boreham 1974) between the lines that can be read here and those in the photo that is most alike: it asks what
is missing as well as what was made up. Photos of one printed can have 0.8 and more with one another, a picture whose
letters have melted 0.7 and less. Two that bear nothing have 1. Needs packshot[ocr].
"""

import importlib.util
import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from catalog_schemas.errors import ConfigError
from tasks.checks import Subject
from tasks.imaging.lettering import lines_in
from tasks.imaging.pixels import Mask, Rgb, scale_mask, shrink_rgb

_SHORTEST = 3  # letters of a line: fewer are read into handles and seams
Pairs = Counter[tuple[str, str]]

if importlib.util.find_spec("rapidocr") is None:
    raise ConfigError("checks: label reads letters, which needs: pip install 'packshot[ocr]' where packshot runs")


def measure(subject: Subject) -> float:
    """Each photo is read as large as the image is, since print that is too small for it is not asked for."""
    image = subject.pixels
    side = max(image.rgb.shape[:2])
    photos = subject.photos.measured(f"letters at {side}", lambda photo: _pairs_at(side, photo.rgb, photo.mask))
    own = pairs_in(lines_in(image.rgb, image.mask))
    return max(dice(own, photo) for photo in photos)


def _pairs_at(side: int, rgb: Rgb, mask: Mask) -> Pairs:
    small = shrink_rgb(rgb, side)
    height, width = small.shape[:2]
    return pairs_in(lines_in(small, scale_mask(mask, width, height)))


def pairs_in(lines: Iterable[str]) -> Pairs:
    """How often letters and digits stand side by side in lines that have some, whatever their case and width."""
    found = Pairs()
    for line in lines:
        letters = [one for one in unicodedata.normalize("NFKC", line).casefold() if one.isalnum()]
        if len(letters) >= _SHORTEST:
            found.update(pairwise(letters))
    return found


def dice(one: Pairs, other: Pairs) -> float:
    """Twice what they share as a share of what they have; 1 where neither has any."""
    had = one.total() + other.total()
    return 2 * (one & other).total() / had if had else 1.0
