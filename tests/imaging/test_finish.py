import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from scipy import ndimage

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from configs.entries import Channel
from configs.library import load_library
from tasks.imaging.compose import on_flat
from tasks.imaging.decode import decode
from tasks.imaging.finish import finish
from tasks.imaging.marking import Marks, read_marks
from tests.imaging.pictures import mug, wooden_table
from tests.measures import white_share_of_border

CHANNELS = load_library().channels
RGB, MASK = mug(256)
PACKSHOT, PACKSHOT_MASK = on_flat(RGB, MASK, "#ffffff", (512, 512), 0.6)
MARKS = Marks("composite", "Stable Diffusion", "1.5", "an empty table", "A red mug on a table", "Mug")


def channel(**rules: object) -> Channel:
    return Channel.model_validate({"name": "test", "title": "Test", **rules})


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def product_share(rgb: np.ndarray) -> float:
    rows, columns = (np.flatnonzero((rgb < 250).any(axis=2).any(axis=axis)) for axis in (1, 0))
    height, width = rgb.shape[:2]
    return max((rows[-1] - rows[0] + 1) / height, (columns[-1] - columns[0] + 1) / width)


def white_around(rgb: np.ndarray) -> bool:
    """Exact white in every row and column band that the product and its coding blocks do not reach."""
    rows, columns = (np.flatnonzero((rgb < 250).any(axis=2).any(axis=axis)) for axis in (1, 0))
    away = np.ones(rgb.shape[:2], bool)
    away[max(0, rows[0] - 17) : rows[-1] + 18, max(0, columns[0] - 17) : columns[-1] + 18] = False
    return bool((rgb[away] == 255).all())


@pytest.mark.parametrize("name", CHANNELS)
def test_every_shipped_channel_gets_a_file_that_keeps_its_rules(name):
    rules = CHANNELS[name]
    draft, mask = (PACKSHOT, PACKSHOT_MASK) if rules.white_background else (RGB, MASK)
    data = finish(draft, rules, MARKS, mask)
    image = opened(data)
    expected = (rules.width or draft.shape[1], rules.height or draft.shape[0])
    assert image.size == expected
    assert image.format == rules.format.upper()
    assert image.mode == "RGB"
    assert len(data) <= rules.max_bytes
    assert "sRGB" in ImageCms.getProfileDescription(io.BytesIO(image.info["icc_profile"]))
    assert read_marks(data) == MARKS
    if rules.white_background:
        decoded = decode(data, 10**8).rgb
        assert white_share_of_border(decoded) == 1.0
        assert white_around(decoded)
        assert rules.fill_minimum <= product_share(decoded) <= rules.fill_maximum


@settings(max_examples=40)
@given(
    st.sampled_from(["jpeg", "png", "webp"]),
    st.sampled_from(["cover", "contain"]),
    st.just(0) | st.integers(1, 300),
    st.just(0) | st.integers(1, 300),
    st.integers(40, 100),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.booleans(),
)
def test_any_draft_comes_out_in_the_channels_size_and_format(form, fit, width, height, quality, shape, masked):
    rgb = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    mask = np.zeros(shape, np.float32) if masked else None
    rules = channel(format=form, fit=fit, width=width, height=height, quality=quality)
    data = finish(rgb, rules, MARKS, mask)
    image = opened(data)
    ratio = width / shape[1] if width else height / shape[0] if height else 1.0
    assert image.width == (width or max(1, round(shape[1] * ratio)))
    assert image.height == (height or max(1, round(shape[0] * ratio)))
    assert image.format == form.upper()
    assert finish(rgb, rules, MARKS, mask) == data


def test_a_draft_of_the_channels_size_is_not_touched():
    data = finish(RGB, channel(format="png"), MARKS)
    assert (decode(data, 10**6).rgb == RGB).all()


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_quality_falls_until_the_bytes_fit(form):
    noisy = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    free = finish(noisy, channel(format=form, quality=95), MARKS)
    limit = int(len(free) * 0.6)
    data = finish(noisy, channel(format=form, quality=95, max_bytes=limit), MARKS)
    assert limit * 0.5 < len(data) <= limit


def test_what_cannot_fit_is_refused_with_the_numbers():
    noisy = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for form in ("jpeg", "png", "webp"):
        with pytest.raises(Rejected, match="allows 10,000 bytes") as caught:
            finish(noisy, channel(format=form, max_bytes=10_000), MARKS)
        assert caught.value.reason == Reason.FINISH_FAILED


def test_cover_keeps_the_product_in_view():
    wide = np.full((100, 400, 3), 200, np.uint8)
    wide[30:70, 330:370] = (200, 0, 0)
    mask = np.zeros((100, 400), np.float32)
    mask[30:70, 330:370] = 1.0
    rules = channel(width=100, height=100, format="png")
    with_mask, without = (decode(finish(wide, rules, MARKS, given), 10**6).rgb for given in (mask, None))
    assert (with_mask[..., 1] < 50).sum() == 1600
    assert not (without[..., 1] < 50).any()


@pytest.mark.parametrize("mask", [None, np.pad(np.ones((10, 10), np.float32), 20)])
def test_contain_pads_with_the_channels_colour_and_crops_nothing(mask):
    rules = channel(width=300, height=100, format="png", fit="contain", pad="#123456")
    data = decode(finish(np.full((50, 50, 3), 200, np.uint8), rules, MARKS, mask), 10**6).rgb
    assert (data[:, :100] == (0x12, 0x34, 0x56)).all()
    assert (data[:, 100:200] == 200).all()
    assert (data[:, 200:] == (0x12, 0x34, 0x56)).all()


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_a_nearly_white_background_becomes_exactly_white_and_white_parts_of_the_product_stay(form):
    draft = PACKSHOT.copy()
    around = (PACKSHOT == 255).all(axis=2)
    draft[around] = np.random.default_rng(0).integers(248, 256, (int(around.sum()), 3))
    rules = channel(width=400, height=400, format=form, white_background=True, fill_minimum=0.85, fill_maximum=0.9)
    decoded = decode(finish(draft, rules, MARKS), 10**6).rgb
    assert white_around(decoded)
    label = decoded[130:155, 100:200]
    assert 225 < label.mean() < 245


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_a_white_product_stays_where_its_mask_says_so_and_around_it_is_exact_white(form):
    y, x = np.mgrid[:200, :200]
    mask = np.clip(70.5 - np.hypot(x - 99.5, y - 99.5), 0, 1).astype(np.float32)
    plate = 251 - 5 * (x + y) / 400
    draft = np.repeat((255 + (plate - 255) * mask)[..., None], 3, axis=2).round().astype(np.uint8)
    rules = channel(width=400, height=400, format=form, white_background=True, fill_minimum=0.85, fill_maximum=0.9)
    decoded = decode(finish(draft, rules, MARKS, mask), 10**6).rgb
    away = np.hypot(*(np.mgrid[:400, :400] - 199.5))
    assert decoded[away < 165].mean() < 250
    assert (decoded[away < 165] < 254).all()
    assert (decoded[away > 195] == 255).all()


@pytest.mark.parametrize("wall", [0, 140])
def test_a_scene_is_no_white_background(wall):
    rules, scene = channel(white_background=True), wooden_table()
    scene[:wall] = 255
    with pytest.raises(Rejected, match="needs a white background") as caught:
        finish(scene, rules, MARKS)
    assert caught.value.reason == Reason.FINISH_FAILED


@pytest.mark.parametrize("form", ["jpeg", "webp"])
def test_a_quality_at_which_white_is_not_white_is_refused_with_what_to_do(form):
    rules = channel(format=form, quality=43, width=400, height=400, white_background=True)
    with pytest.raises(Rejected, match=f"{form} does not keep it at quality 43 or below: raise its quality") as caught:
        finish(PACKSHOT, rules, MARKS, PACKSHOT_MASK)
    assert caught.value.reason == Reason.FINISH_FAILED


def test_beside_an_enlarged_product_it_is_exactly_white():
    mask = np.clip(30.5 - np.hypot(*(np.mgrid[:100, :100] - 49.5)), 0, 1)
    draft = np.rint(255 - 225 * mask).astype(np.uint8)[..., None].repeat(3, axis=2)
    rules = channel(width=400, height=400, format="png", white_background=True)
    rgb = decode(finish(draft, rules, MARKS), 10**6).rgb
    product = rgb.max(axis=2) < 128
    assert (rgb[~ndimage.binary_dilation(product, iterations=6)] == 255).all()


def test_a_pale_product_and_one_that_reaches_the_border_are_not_taken_for_background():
    draft = np.full((100, 100, 3), 255, np.uint8)
    draft[20:80, 20:80], draft[80:, 48:52] = 225, 60
    rgb = decode(finish(draft, channel(format="png", white_background=True), MARKS), 10**6).rgb
    assert ((rgb == 225).all(axis=2).sum(), (rgb == 60).all(axis=2).sum()) == (3600, 80)


def test_a_photograph_is_not_asked_for_where_the_channel_has_the_drafts_shape():
    def photograph():
        raise AssertionError("it was")

    rules = channel(width=100, height=100)
    assert finish(RGB, rules, MARKS, MASK, photograph) == finish(RGB, rules, MARKS, MASK)


def test_a_file_does_not_tell_the_day_on_which_it_was_made():
    profile = opened(finish(RGB, channel(), MARKS)).info["icc_profile"]
    assert struct.unpack(">6H", profile[24:36]) == (2026, 1, 1, 0, 0, 0)


def test_a_white_sheet_without_a_product_is_refused():
    with pytest.raises(Rejected, match="plain white"):
        finish(
            np.full((50, 50, 3), 255, np.uint8), channel(white_background=True), MARKS, np.zeros((50, 50), np.float32)
        )


def test_a_mask_of_another_size_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="mask"):
        finish(RGB, channel(), MARKS, np.zeros((3, 3), np.float32))


def test_where_no_mask_is_known_a_crop_keeps_what_is_spotted_or_else_the_middle():
    story = CHANNELS["instagram-story"]
    assert finish(RGB, story, MARKS, spotted=lambda: MASK) == finish(RGB, story, MARKS, MASK)
    assert (
        finish(RGB, story, MARKS, spotted=lambda: None) == finish(RGB, story, MARKS) != finish(RGB, story, MARKS, MASK)
    )


@pytest.mark.parametrize("name", ["instagram-square", "google-merchant", "amazon-main", "web"])
def test_nothing_is_spotted_where_nothing_is_cropped(name):
    finish(PACKSHOT, CHANNELS[name], MARKS, spotted=lambda: pytest.fail("it was"))


def test_nothing_is_spotted_where_the_mask_is_known():
    finish(RGB, CHANNELS["instagram-story"], MARKS, MASK, spotted=lambda: pytest.fail("it was"))
