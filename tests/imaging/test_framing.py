import numpy as np
import pytest

from configs.entries import Channel
from configs.library import load_library
from tasks.imaging.compose import Placement, place
from tasks.imaging.framing import framed
from tasks.imaging.shadow import CAST_SHADOW, NO_SHADOW
from tests.imaging.pictures import gradient, mug

COVERING = {name: rules for name, rules in load_library().channels.items() if rules.fit == "cover" and rules.width}
RED = (250, 0, 0)


def drafted(height: float, width: float, side: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """A red product that takes `height` and `width` of a smooth square, and its mask."""
    rgb, mask = gradient(side, side) // 2 + 60, np.zeros((side, side), np.float32)
    rows, columns = (slice(round(side * (1 - part) / 2), round(side * (1 + part) / 2)) for part in (height, width))
    rgb[rows, columns], mask[rows, columns] = RED, 1.0
    return rgb, mask


@pytest.mark.parametrize("name", COVERING)
@pytest.mark.parametrize("shape", [(0.86, 0.3), (0.3, 0.86), (0.86, 0.86), (0.6, 0.6)])
def test_covering_a_channel_never_cuts_the_product_or_shows_it_twice(name, shape):
    rules = COVERING[name]
    size = rules.width // 4, rules.height // 4
    seen = framed(*drafted(*shape), *size, rules)
    assert seen.shape == (size[1], size[0], 3)
    red = abs(seen.astype(int) - RED).max(axis=2) < 60
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert tall / wide == pytest.approx(shape[0] / shape[1], rel=0.04)
    assert red.sum() > 0.97 * tall * wide
    assert min(rows[0], size[1] - 1 - rows[-1]) >= 0.03 * tall
    assert min(columns[0], size[0] - 1 - columns[-1]) >= 0.03 * wide


@pytest.mark.parametrize("share", [0.4, 0.6, 0.75])
@pytest.mark.parametrize("size", [(135, 240), (120, 240), (300, 157)])
def test_a_shadow_is_not_seen_again_in_what_is_continued(size, share):
    product, scene = mug(256), gradient(256, 256) // 2 + 60
    seen = []
    for shadow in (CAST_SHADOW, NO_SHADOW):
        rgb, mask = place(*product, scene, Placement(share, surface=0.8, shadow=shadow))
        seen.append(framed(rgb, mask, *size, COVERING["instagram-story"]).astype(int))
    darker = (seen[1] - seen[0]).max(axis=2) > 6
    foot = np.flatnonzero((abs(seen[1] - seen[0]).max(axis=2) > 40).any(axis=1))[-1]
    assert darker[: foot + 1].any()
    assert not darker[foot + round(0.15 * size[1]) :].any()


@pytest.mark.parametrize("size", [(60, 120), (120, 60)])
def test_what_is_continued_begins_where_the_draft_ends(size):
    seen = framed(*drafted(0.8, 0.8), *size, COVERING["meta-link"]).astype(int)
    steps = [abs(np.diff(seen[edge], axis=0)).max() for edge in ((slice(None), 0), (slice(None), -1), 0, -1)]
    assert max(steps) < 12


def test_what_is_continued_mirrors_what_lies_beside_the_product():
    rgb, mask = drafted(0.8, 0.8)
    rgb[mask == 0], rgb[:12, 80:120] = (60, 60, 200), (60, 200, 60)
    for turn in (0, 1):
        shown, where = (np.ascontiguousarray(one.swapaxes(0, 1)) if turn else one for one in (rgb, mask))
        seen = framed(shown, where, *((120, 60) if turn else (60, 120)), COVERING["meta-link"])
        above = (seen.swapaxes(0, 1) if turn else seen)[24].astype(int)  # the draft begins at 26
        assert abs(above[28:32] - (60, 200, 60)).max() < 30
        assert abs(above[[5, -5]] - (60, 60, 200)).max() < 30


def test_what_is_continued_shows_no_more_of_an_edge_than_there_is_and_is_softer_the_farther():
    rgb, mask = drafted(0.8, 0.8)
    grain = np.random.default_rng(0).integers(-40, 41, rgb.shape[:2])[..., None]
    blue, green = (np.add(grain, colour).astype(np.uint8) for colour in ((100, 100, 160), (60, 200, 60)))
    rgb[mask == 0] = blue[mask == 0]
    for edge in (np.s_[:8], np.s_[-8:], np.s_[:, :8], np.s_[:, -8:]):
        rgb[edge] = green[edge]
    for turn in (0, 1):
        shown, where = (np.ascontiguousarray(one.swapaxes(0, 1)) if turn else one for one in (rgb, mask))
        seen = framed(shown, where, *((480, 200) if turn else (200, 480)), COVERING["meta-link"]).astype(int)
        seen = seen.swapaxes(0, 1) if turn else seen
        for half in (seen, seen[::-1]):  # the draft begins at 140
            assert half[0, 60:-60].mean(axis=0).argmax() == 2, "far from the edge it is what lies behind the edge"
            rough = [abs(np.diff(half[row, 60:-60], axis=0)).mean() for row in (2, 110, 142)]
            assert 3 * rough[0] < rough[1] < 0.9 * rough[2]


@pytest.mark.parametrize("edge", [0, 1, 2, 3])
def test_a_product_at_an_edge_is_whole_and_not_seen_again(edge):
    rgb, mask = gradient(200, 200) // 2 + 60, np.zeros((200, 200), np.float32)
    place = (np.s_[:150, 40:160], np.s_[-150:, 40:160], np.s_[40:160, :150], np.s_[40:160, -150:])[edge]
    rgb[place], mask[place] = RED, 1.0
    for size in ((60, 120), (120, 60), (100, 110), (110, 100)):
        seen = framed(rgb, mask, *size, COVERING["meta-link"])
        red = abs(seen.astype(int) - RED).max(axis=2) < 60
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        tall, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
        assert tall / wide == pytest.approx(mask.any(axis=1).sum() / mask.any(axis=0).sum(), rel=0.05), size
        assert red.sum() > 0.95 * tall * wide, size


def test_where_a_draft_is_to_be_seen_whole_the_rest_has_the_channels_colour():
    rgb, mask = drafted(0.5, 0.5)
    for given in (mask, None):
        seen = framed(rgb, given, 100, 200, Channel(name="test", title="Test", fit="contain", pad="#0a0b0c"))
        assert (seen[[0, 49, 150, -1]] == (10, 11, 12)).all()


def test_a_flat_background_stays_exactly_flat():
    rgb, mask = drafted(0.8, 0.8)
    rgb[mask == 0] = (240, 236, 229)
    seen = framed(rgb, mask, 150, 300, COVERING["pinterest"])
    assert (seen[:70] == (240, 236, 229)).all()
    assert (seen[-70:] == (240, 236, 229)).all()


@pytest.mark.parametrize(("fit", "size"), [("contain", (150, 150)), ("cover", (150, 150)), ("contain", (90, 180))])
@pytest.mark.parametrize(("drawn", "filled"), [(0.5, 0.75), (0.95, 0.9), (0.8, 0.8)])
def test_on_a_flat_background_the_product_fills_what_the_channel_asks_and_the_colour_goes_on(fit, size, drawn, filled):
    rgb, mask = drafted(drawn * 0.6, drawn)
    rgb[mask == 0] = (207, 217, 200)
    rules = Channel(name="test", title="Test", fit=fit, fill_minimum=0.75, fill_maximum=0.9)
    seen = framed(rgb, mask, *size, rules)
    columns = np.flatnonzero((abs(seen.astype(int) - RED).max(axis=2) < 100).any(axis=0))
    assert (columns[-1] - columns[0] + 1) / size[0] == pytest.approx(filled, abs=0.015)
    turned = framed(np.rot90(rgb).copy(), np.rot90(mask).copy(), *size[::-1], rules)
    rows = np.flatnonzero((abs(turned.astype(int) - RED).max(axis=2) < 100).any(axis=1))
    assert (rows[-1] - rows[0] + 1) / size[0] == pytest.approx(filled, abs=0.015), "whichever side is the longer one"
    assert abs(seen[[0, -1]].astype(int) - (207, 217, 200)).max() <= 1


def test_a_channel_that_asks_for_no_more_than_a_share_gets_a_smaller_product():
    rgb, mask = drafted(0.5, 0.95)
    rgb[mask == 0] = (207, 217, 200)
    seen = framed(rgb, mask, 150, 150, Channel(name="test", title="Test", fit="contain", fill_maximum=0.8))
    columns = np.flatnonzero((abs(seen.astype(int) - RED).max(axis=2) < 100).any(axis=0))
    assert (columns[-1] - columns[0] + 1) / 150 == pytest.approx(0.8, abs=0.015)


def test_a_scene_is_not_cropped_to_fill_more():
    rules = Channel(name="test", title="Test", fill_minimum=0.75)
    rgb, mask = drafted(0.5, 0.5)
    assert (framed(rgb, mask, 200, 200, rules) == rgb).all()
    rgb[mask == 0] = (207, 217, 200)
    rgb[-20:] = (120, 80, 50)  # a wall of one colour, and a floor
    assert (framed(rgb, mask, 200, 200, rules) == rgb).all()


def test_the_margin_is_no_reason_to_change_a_draft_of_the_channels_shape():
    rgb, mask = gradient(200, 200), np.ones((200, 200), np.float32)
    assert (framed(rgb, mask, 200, 200, COVERING["pinterest"]) == rgb).all()
