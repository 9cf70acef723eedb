import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.colour import from_linear
from tasks.imaging.compose import Placement, on_flat, place
from tasks.imaging.lighting import shadow_side, surroundings
from tasks.imaging.measure import palette, palette_difference
from tasks.imaging.pixels import box_of
from tests.imaging.pictures import mug

SIDE = 256
PRODUCT, MASK = mug(SIDE, noise=0)
BOX = np.zeros((SIDE, SIDE), np.float32)
BOX[60:200, 90:160] = 1.0
PLAIN = np.full((SIDE, SIDE, 3), 188, np.uint8)


def photo(shadow=""):
    """A grey box before a plain backdrop, its shadow on the ground at that side."""
    rgb = np.full((SIDE, SIDE, 3), 225, np.uint8)
    if shadow:
        rgb[170:200, 160:220] = 150
        rgb = rgb if shadow == "right" else rgb[:, 250 - np.arange(SIDE)]
    rgb[60:200, 90:160] = 128
    return surroundings(rgb, BOX)


def lit(side, strength=0.5):
    """A scene that is lighter at that side, its ground darker than its wall."""
    ramp = np.linspace(1.0 - strength, 1.0, SIDE, dtype=np.float32)
    scene = np.empty((SIDE, SIDE, 3), np.float32)
    scene[:] = (ramp if side == "right" else ramp[::-1])[:, None]
    scene[SIDE // 2 :] *= 0.3
    return surroundings(from_linear(scene), BOX)


@pytest.mark.parametrize("scene", [lit("left"), lit("right"), surroundings(PLAIN, BOX)])
def test_a_shadow_falls_to_the_side_to_which_it_fell_in_the_photo(scene):
    assert shadow_side(photo("left"), scene) == -1
    assert shadow_side(photo("right"), scene) == 1


@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_where_the_photo_shows_no_shadow_it_falls_away_from_the_side_on_which_a_scene_is_lighter(strength):
    assert shadow_side(photo(), lit("right", strength)) == -1
    assert shadow_side(photo(), lit("left", strength)) == 1


def test_where_neither_tells_a_side_shadows_fall_to_the_right():
    pattern = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    layers = np.broadcast_to(np.linspace(20, 255, SIDE).astype(np.uint8)[:, None, None], PLAIN.shape)
    for scene in (np.kron(pattern, np.ones((8, 8, 1), np.uint8)), np.ascontiguousarray(layers), 0 * PLAIN):
        assert shadow_side(photo(), surroundings(scene, BOX)) == 1


def own_size(scene, product=PRODUCT):
    """The mug in `scene`, as large as in its photo: what changed of its pixels is its light."""
    rows, columns = box_of(MASK)
    middle = (columns.start + columns.stop) / 2 / SIDE
    return place(product, MASK, scene, Placement((rows.stop - rows.start) / SIDE, middle, rows.stop / SIDE))


def test_a_product_is_dimmer_in_a_dark_scene_the_more_the_nearer_to_the_ground_and_keeps_its_colour():
    rgb, mask = own_size(np.full((SIDE, SIDE, 3), 12, np.uint8))
    rows, columns = box_of(MASK)
    body = slice(columns.start + 10, columns.start + 20)
    height = (rows.stop - rows.start) // 8
    share = [
        rgb[part, body].mean() / PRODUCT[part, body].mean()
        for part in (slice(rows.start + 8, rows.start + height), slice(rows.stop - height, rows.stop - 8))
    ]
    assert 0.9 < share[0] < 0.98
    assert 0.75 < share[1] < 0.9
    assert palette_difference(palette(rgb, mask), palette(PRODUCT, MASK)) < 6


def test_a_coloured_ground_takes_from_a_product_what_it_does_not_reflect():
    green = own_size(np.full((SIDE, SIDE, 3), (40, 160, 40), np.uint8))[0]
    rows, columns = box_of(MASK)
    foot = slice(rows.stop - 20, rows.stop - 8), slice(columns.start + 10, columns.start + 20)
    red, kept, _ = (green[foot] / PRODUCT[foot].astype(float)).mean(axis=(0, 1))
    assert red < kept - 0.02


@pytest.mark.parametrize("backdrop", [(236, 234, 230), (20, 20, 20)])
def test_a_scene_no_darker_than_the_photo_leaves_the_product_as_it_is(backdrop):
    product, mask = mug(SIDE, backdrop=backdrop, noise=0)
    rgb, placed = own_size(np.full((SIDE, SIDE, 3), backdrop, np.uint8), product)
    inside = ndimage.binary_erosion((placed == 1.0) & (mask == 1.0), iterations=4)  # the rim is freed of the backdrop
    assert (rgb[inside] == product[inside]).all()


def test_on_a_flat_colour_however_dark_a_product_keeps_its_light():
    dark, mask = on_flat(PRODUCT, MASK, "#101010", (SIDE, SIDE))
    white, _ = on_flat(PRODUCT, MASK, "#ffffff", (SIDE, SIDE))
    assert (dark[mask == 1.0] == white[mask == 1.0]).all()
