"""What a recoloured product looks like where it ends."""

import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.compose import on_flat
from tasks.pictures import cut_free, in_colour
from tasks.techniques import CutOut
from tests.imaging.pictures import mug


def fringe(rgb: np.ndarray, mask: np.ndarray) -> float:
    """How coloured the outermost pixels of a product are that is grey, standing on grey."""
    shown, placed = on_flat(rgb, mask, "#808080", (256, 256))
    outermost = ndimage.binary_dilation(placed > 0.02) & ~ndimage.binary_erosion(placed > 0.98, iterations=2)
    return float(np.ptp(shown[outermost].astype(float), axis=1).mean())


@pytest.mark.parametrize("backdrop", [(60, 90, 180), (60, 140, 70)])
def test_a_recoloured_products_rim_keeps_nothing_of_the_old_colour(backdrop: tuple[int, int, int]) -> None:
    rgb, mask = mug(256, colour=(230, 120, 20), backdrop=backdrop)
    freed, taken = (in_colour(one, "#1a1a1c", "") for one in (cut_free(CutOut(rgb, mask)), CutOut(rgb, mask)))
    assert fringe(freed.rgb, freed.mask) < 0.6 * fringe(taken.rgb, taken.mask)
