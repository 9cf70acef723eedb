import cv2
import numpy as np
import pytest

from tasks.imaging.shadow import NO_SHADOW, SOFT_SHADOW, Shadow, darkness_of, shade

SIDE = 400
CAST = Shadow(contact=0.0)


def shaded(alpha, shadow=None):
    """How dark the ground is, 0 to 1, where a product with this mask stands on it."""
    return darkness_of(alpha, shadow or Shadow())


def box(top=100, bottom=300, left=150, right=250):
    alpha = np.zeros((SIDE, SIDE), np.float32)
    alpha[top:bottom, left:right] = 1.0
    return alpha


def car(rise, turned=False):
    """A body on two wheels, of which one is farther off and so stands `rise` higher in the picture."""
    alpha = np.zeros((SIDE, SIDE), np.float32)
    body = np.array([[80, 160], [320, 160 - rise], [320, 270 - rise], [80, 270]], np.int32)
    cv2.fillPoly(alpha, [body], 1.0)
    for x, y in ((110, 270), (290, 270 - rise)):
        cv2.circle(alpha, (x, y), 30, 1.0, -1)
    return np.ascontiguousarray(alpha[:, ::-1]) if turned else alpha


def test_a_cast_shadow_begins_at_the_foot_and_not_somewhere_beside_it():
    beside = shaded(box(), CAST)[:, 254:262].mean(axis=1)
    assert beside[292:300].max() > 0.6 * beside.max()
    assert np.argmax(beside) > 300 - 0.1 * 200
    assert beside[:234].max() < 0.02


def test_a_cast_shadow_is_softer_and_fainter_the_farther_it_falls():
    dark = shaded(box(), CAST)

    def steepest(row):
        return np.abs(np.diff(dark[row, 255:])).max() / dark[row, 255:].max()

    assert steepest(292) > 2 * steepest(266)
    assert dark[292].max() > 1.4 * dark[266].max()


@pytest.mark.parametrize("shadow", [Shadow(), SOFT_SHADOW])
def test_the_shadow_lies_flat_on_the_ground(shadow):
    dark = shaded(box(), shadow)
    below, beside = dark[300:, 200], dark[300, :150][::-1]
    assert (below > 0.01).sum() < 0.75 * (beside > 0.01).sum()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rise", [0, 20, 45, 60])
def test_a_wheel_farther_off_stands_on_the_ground_too(rise, turned):
    dark = shaded(car(rise, turned))
    x = SIDE - 1 - 290 if turned else 290
    nearer, farther = dark[303, SIDE - 1 - x], dark[303 - rise, x]
    assert farther > 0.85 * nearer


@pytest.mark.parametrize("depth", [8, 14, 20])
def test_a_round_foot_stands_on_level_ground(depth):
    """So that the shadow of a mug with a handle begins where that of a mug without one does."""
    alpha = box(100, 300, 140, 240)
    cv2.ellipse(alpha, (190, 300), (50, depth), 0, 0, 360, 1.0, -1)
    level = shaded(alpha)
    cv2.ellipse(alpha, (245, 200), (35, 66), 0, 0, 360, 1.0, 12)
    foot = slice(300 + depth + 2, 300 + depth + 12), slice(100, 240)
    assert np.abs(shaded(alpha) - level)[foot].max() < 0.03


def test_what_hangs_over_on_both_sides_throws_no_contact_shadow_there():
    alpha = box(200, 300, 170, 230)
    cv2.fillPoly(alpha, [np.array([[80, 250], [320, 250], [230, 300], [170, 300]], np.int32)], 1.0)
    dark = shaded(alpha, Shadow(cast=0.0))
    assert dark[305, 200] > 0.5
    assert dark[256, [88, 312]].max() < 0.25


def test_what_rises_straight_on_both_sides_is_level():
    """As a saucer does, whose rims hang over the ground."""
    alpha = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(alpha, [np.array([[80, 120], [80, 200], [200, 236], [320, 200], [320, 120]], np.int32)], 1.0)
    dark = shaded(alpha, Shadow(cast=0.0))
    assert np.abs(dark - dark[:, ::-1]).max() < 0.1
    assert dark[205, [88, 312]].max() < 0.4


def test_what_rises_steeply_to_one_side_hangs_over():
    dark = shaded(np.maximum(box(right=170), box(200, 230, right=300)), Shadow(cast=0.0))
    assert dark[303, 160] > 0.5
    assert dark[230:240, 285:].max() < 0.1


def test_what_rises_in_a_curve_to_one_side_hangs_over():
    alpha = box(100, 200, 100, 300)
    cv2.ellipse(alpha, (300, 200), (200, 60), 0, 90, 180, 1.0, -1)
    dark = shaded(alpha, Shadow(cast=0.0))
    assert dark[262, 290] > 0.5
    assert dark[230:240, 130].max() < 0.45


def test_the_shadow_of_what_is_flat_falls_no_farther_than_that_is_high():
    assert shaded(box(top=290, left=100, right=300), CAST)[:280].max() < 0.05


@pytest.mark.parametrize(("alpha", "shadow"), [(box(), NO_SHADOW), (0.4 * box(), Shadow()), (0.0 * box(), Shadow())])
def test_without_a_shadow_or_anything_solid_the_ground_stays_as_it_is(alpha, shadow):
    assert not darkness_of(alpha, shadow).any()


def test_a_shadow_takes_light_and_lays_a_little_of_its_tint_over_the_rest():
    light = np.random.default_rng(0).random((3, 4, 3)).astype(np.float32)
    darkness = np.zeros((3, 4), np.float32)
    darkness[1] = 0.5
    lit = shade(light, darkness, 0.4, Shadow(colour="#ff0000"))
    assert (lit[[0, 2]] == light[[0, 2]]).all()
    assert lit[1] == pytest.approx(light[1] * 0.5 + np.array([0.2, 0.0, 0.0]))


@pytest.mark.parametrize("columns", [(200, 201), (0, 400)])
def test_a_thread_and_what_is_as_wide_as_the_picture_throw_a_shadow(columns):
    assert shaded(box(left=columns[0], right=columns[1])).max() > 0.5


def on_legs(gap):
    """A body that two thin legs hold `gap` above the ground."""
    return np.maximum.reduce([box(100, 300 - gap, 120, 280), box(left=120, right=130), box(left=270, right=280)])


def test_the_ground_under_a_body_is_dark_between_its_legs_and_the_darker_the_lower_it_hangs():
    low, high, far = (shaded(on_legs(gap), Shadow(cast=0.0))[290:298, 190:210].mean() for gap in (15, 50, 120))
    assert low > 0.4
    assert low > 1.4 * high > 2 * far
    assert far < 0.1


def test_where_the_lamp_and_the_rest_of_the_light_are_kept_away_it_is_darker_than_where_one_is():
    both, contact, cast = (shaded(box(), one)[300:310] for one in (Shadow(), Shadow(cast=0.0), Shadow(contact=0.0)))
    assert ((both >= contact - 1e-6) & (both >= cast - 1e-6)).all()
    assert (both - np.maximum(contact, cast)).max() > 0.1
