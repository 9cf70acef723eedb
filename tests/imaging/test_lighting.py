import numpy as np
import pytest
from scipy import ndimage

from tasks.imaging.colour import from_linear
from tasks.imaging.compose import Placement, on_flat, place
from tasks.imaging.lighting import shadow_side, surroundings
from tasks.imaging.measure import palette, palette_difference
from tasks.imaging.pixels import box_of
from tasks.imaging.shadow import CAST_SHADOW, NO_SHADOW
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


def lit_scene(side, strength=0.5):
    """A scene that is lighter at that side, its ground darker than its wall."""
    ramp = np.linspace(1.0 - strength, 1.0, SIDE, dtype=np.float32)
    scene = np.empty((SIDE, SIDE, 3), np.float32)
    scene[:] = (ramp if side == "right" else ramp[::-1])[:, None]
    scene[SIDE // 2 :] *= 0.3
    return from_linear(scene)


def lit(side, strength=0.5):
    return surroundings(lit_scene(side, strength), BOX)


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
    assert shadow_side(photo(), lit("right", 0.1)) == shadow_side(photo(), lit("left", 0.1)) == 1


@pytest.mark.parametrize(("side", "falls"), [("right", -1), ("left", 1)])
def test_a_handle_that_hides_the_ground_on_one_side_is_no_shadow(side, falls):
    assert shadow_side(surroundings(PLAIN, MASK), lit(side)) == falls


@pytest.mark.parametrize("falls", [-1, 1])
def test_a_wide_product_near_the_upper_edge_shows_its_shadow_too(falls):
    rgb, mask = np.full((SIDE, SIDE, 3), 225, np.uint8), np.zeros((SIDE, SIDE), np.float32)
    mask[6:36, 60:196] = 1.0
    rgb[26:42, 196:232] = 150
    rgb[mask == 1] = 128
    assert shadow_side(surroundings(np.ascontiguousarray(rgb[:, ::falls]), mask), surroundings(PLAIN, mask)) == falls


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_product_is_placed_with_its_shadow_on_that_side(side):
    scene = lit_scene(side)
    bare, shaded = (
        place(np.full_like(PLAIN, 128), BOX, scene, Placement(shadow=one)) for one in (NO_SHADOW, CAST_SHADOW)
    )
    darker = (bare[0].astype(int) - shaded[0]).clip(0).sum(axis=(0, 2))
    columns = box_of(bare[1])[1]
    left, right = darker[: columns.start].sum(), darker[columns.stop :].sum()
    assert (left > 2 * right, right > 2 * left) == (side == "right", side == "left")


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
    assert 0.85 < share[1] < 0.9
    assert palette_difference(palette(rgb, mask), palette(PRODUCT, MASK)) < 6


def test_a_coloured_ground_takes_from_a_product_what_it_does_not_reflect():
    green = own_size(np.full((SIDE, SIDE, 3), (40, 160, 40), np.uint8))[0]
    rows, columns = box_of(MASK)
    foot = slice(rows.stop - 20, rows.stop - 8), slice(columns.start + 10, columns.start + 20)
    red, kept, _ = (green[foot] / PRODUCT[foot].astype(float)).mean(axis=(0, 1))
    assert red < kept - 0.02


def test_of_a_scene_only_its_ground_dims_the_foot():
    rows, columns = box_of(MASK)
    scene = np.full((SIDE, SIDE, 3), 210, np.uint8)
    scene[: rows.stop - 20] = 12
    foot = slice(rows.stop - 20, rows.stop - 8), slice(columns.start + 10, columns.start + 20)
    assert own_size(scene)[0][foot].mean() > 0.97 * PRODUCT[foot].mean()


def test_black_stays_black_in_the_dark():
    rgb, mask = own_size(0 * PLAIN, np.where(MASK[..., None] > 0, np.uint8(0), PRODUCT))
    assert rgb[mask == 1.0].max() == 0


def test_a_product_that_fills_its_photo_has_no_light_around_it_to_compare():
    whole = np.ones((SIDE, SIDE), np.float32)
    rgb, mask = place(PRODUCT, whole, np.full((SIDE, SIDE, 3), 255, np.uint8), Placement(1.0, surface=1.0))
    assert (rgb[mask == 1.0] == PRODUCT[mask == 1.0]).all()


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
