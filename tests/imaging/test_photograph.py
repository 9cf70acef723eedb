from dataclasses import replace

import numpy as np
import pytest

from tasks.imaging.compose import Placement, place
from tasks.imaging.photograph import cut_to, widened
from tasks.imaging.pixels import Rgb, scale_rgb
from tasks.imaging.shadow import CAST_SHADOW, NO_SHADOW, Shadow
from tests.imaging.pictures import gradient, mug

RED = (200, 30, 30)


@pytest.mark.parametrize("shape", [(200, 330), (333, 200), (200, 200), (160, 161)])
@pytest.mark.parametrize("grown", [1, 1.7, 0.6])
def test_a_draft_in_its_whole_photograph_has_no_seam_and_its_product_stays_where_it_was(shape, grown):
    photograph = gradient(*shape)
    side = round(min(shape) * grown)
    rgb = scale_rgb(np.ascontiguousarray(cut_to(photograph, side, side)), side, side).copy()
    mask = np.zeros((side, side), np.float32)
    product = slice(side // 3, side // 2), slice(side // 4, side // 3)
    rgb[product], mask[product] = RED, 1
    whole, there = widened(rgb, mask, photograph)
    assert min(whole.shape[:2]) == side
    assert max(whole.shape[:2]) == pytest.approx(max(shape) * grown, abs=1)
    assert (whole[there == 1] == RED).all()
    assert (there == 1).sum() == mask.sum()
    begins = [np.flatnonzero((there == 1).any(axis=axis))[0] for axis in (1, 0)]
    middle = [(length - side) / 2 for length in whole.shape]
    assert begins == [pytest.approx(middle[0] + side // 3, abs=1), pytest.approx(middle[1] + side // 4, abs=1)]
    bare = np.where(there[..., None] == 1, scale_rgb(photograph, whole.shape[1], whole.shape[0]), whole).astype(int)
    assert max(abs(np.diff(bare, axis=axis)).max() for axis in (0, 1)) <= 8, "as smooth as the photograph"


PART = slice(130, 430)  # the columns of a photograph in which the product is put


def in_a_wide_photograph(x: float, shadow: Shadow = CAST_SHADOW) -> tuple[Rgb, Rgb]:
    """A photograph of a table in whose middle, at `x`, a mug has been put, and the same without it."""
    y, across = np.mgrid[0:300, 0:560]
    photograph = np.stack([200 - y // 9, 190 - across // 9, 170 + y // 20], axis=-1).astype(np.uint8)
    draft, mask = place(*mug(256), photograph[:, PART], Placement(share=0.5, x=x, shadow=shadow))
    return widened(draft, mask, photograph)[0], photograph


@pytest.mark.parametrize(("x", "falls"), [(0.72, 1), (0.25, -1)])
def test_a_shadow_goes_on_beyond_the_part_that_the_product_was_put_in(x, falls):
    offset_x = falls * CAST_SHADOW.offset_x
    whole, photograph = in_a_wide_photograph(x, replace(CAST_SHADOW, offset_x=offset_x))
    lost = (photograph.astype(int) - whole).mean(axis=2)
    edge, beyond = (PART.stop, 1) if falls > 0 else (PART.start - 1, -1)
    assert lost[:, edge].max() > 15, "the part has cut it"
    assert abs(lost[:, edge] - lost[:, edge - beyond]).max() < 5, "and no seam shows where"
    assert not lost[:, edge + 100 * beyond].any(), "farther away it has ended"


def test_where_a_draft_has_no_shadow_its_photograph_has_none():
    whole, photograph = in_a_wide_photograph(0.8, NO_SHADOW)
    beyond = np.ones(560, bool)
    beyond[PART] = False
    assert (whole[:, beyond] == photograph[:, beyond]).all()
