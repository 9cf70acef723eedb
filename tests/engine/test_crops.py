"""Crops show the product, and weigh it."""

import numpy as np
import pytest
import torch

from tasks.engine import crops as making
from tasks.engine.base_model import load_base
from tasks.engine.crops import TrainingPhoto, encode_crops, trim
from tests.engine.material import photo


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


def encode(base, photos, crops=3, flip=False, background=0.25, seed=0):
    return encode_crops(base, photos, 64, crops, flip, background, torch.Generator().manual_seed(seed))


def test_every_crops_weights_have_mean_one_and_no_negative(base):
    crops = encode(base, (photo(1), photo(2)))
    assert crops.mean.shape == crops.spread.shape == (6, 4, 8, 8)
    assert crops.weight.shape == (6, 1, 8, 8)
    assert torch.allclose(crops.weight.mean((1, 2, 3)), torch.ones(6), atol=1e-5)
    assert (crops.weight >= 0).all()


def test_few_crops_are_held_before_they_are_encoded(base, monkeypatch):
    """A class has hundreds of photos, each of which makes several float32 squares."""
    read, encoded, encode_pictures = [], [], making.encode_pictures

    def noted(base, pixels):
        encoded.append((len(read), len(pixels)))
        return encode_pictures(base, pixels)

    monkeypatch.setattr(making, "encode_pictures", noted)
    crops = encode(base, (read.append(number) or photo(number) for number in range(6)))
    assert encoded == [(2, 4), (3, 4), (4, 4), (6, 4), (6, 2)], "photos read, and crops encoded"
    assert len(crops.mean) == 18


def test_the_first_crop_shows_the_whole_product(base):
    """A product in the middle fills 1 / 1.15 of the crop: it is inside, and the border is background."""
    mask = np.zeros((96, 96), np.float32)
    mask[28:68, 28:68] = 1
    rgb = np.where(mask[..., None] > 0, 255, 0).astype(np.uint8).repeat(3, 2)
    weight = encode(base, (TrainingPhoto(rgb, mask),), crops=1, background=0.0).weight[0, 0]
    share = float((weight / weight.max()).mean())
    assert share == pytest.approx(1 / 1.15**2, abs=0.06)
    assert weight[3, 3] == weight.max()
    assert weight[0, 0] < weight[3, 3] / 2


def test_every_crop_shows_the_whole_product_wherever_it_is_shifted(base):
    """A square product stays a square, for a side that was cut off would be shorter."""
    mask = np.zeros((400, 400), np.float32)
    mask[120:300, 90:270] = 1
    square = TrainingPhoto(np.full((400, 400, 3), 200, np.uint8), mask)
    weight = encode_crops(base, (square,), 256, 40, False, 0.0, torch.Generator().manual_seed(0)).weight[:, 0]
    inside = weight > weight.amax((1, 2), keepdim=True) / 2
    heights, widths = inside.any(2).sum(1), inside.any(1).sum(1)
    assert (heights - widths).abs().max() <= 1
    assert heights.min() < 0.75 * heights.max(), "of many sizes"


def test_past_the_photos_edge_nothing_is_learned(base):
    """A product that fills a tall photo: beside it the square crop shows no photo at all."""
    tall = TrainingPhoto(np.full((96, 24, 3), 200, np.uint8), np.ones((96, 24), np.float32))
    weight = encode(base, (tall,), crops=1).weight[0, 0]
    assert (weight[:, 0] == 0).all()
    assert (weight[:, -1] == 0).all()
    assert (weight[3:5, 3:5] > 1).all()


def test_an_empty_mask_takes_the_whole_photo(base):
    flat = TrainingPhoto(np.full((40, 40, 3), 90, np.uint8), np.zeros((40, 40), np.float32))
    whole = TrainingPhoto(flat.rgb, np.ones((40, 40), np.float32))
    for background in (0.25, 0.0):
        crops = encode(base, (flat,), crops=2, background=background)
        assert crops.mean.isfinite().all()
        assert torch.allclose(crops.weight[0], encode(base, (whole,), crops=1).weight[0])


def test_crops_follow_their_seed(base):
    first, again, other = (encode(base, (photo(1),), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.mean, again.mean)
    assert not torch.equal(first.mean[1:], other.mean[1:])
    assert torch.equal(first.mean[0], other.mean[0])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (300, 60), (700, 500), (340, 240)])
def test_a_trimmed_photo_gives_the_same_crops(base, top, left):
    """A small product, wherever it stands in a large photo."""
    rgb = np.random.default_rng(0).integers(0, 255, (800, 600, 3), np.uint8)
    mask = np.zeros((800, 600), np.float32)
    mask[top : top + 100, left : left + 70] = 1
    whole = TrainingPhoto(rgb, mask)
    trimmed = trim(whole, 64)
    assert max(trimmed.mask.shape) < 240
    assert trimmed.mask.sum() == mask.sum()
    for name in ("mean", "weight"):
        crops = [getattr(encode(base, (one,), crops=20), name) for one in (whole, trimmed)]
        assert torch.equal(*crops)


def test_a_photo_much_larger_than_its_crops_is_shrunk(base):
    smooth = np.linspace(0, 255, 2000, dtype=np.float32)[None, :, None].repeat(1500, 0).repeat(3, 2).astype(np.uint8)
    mask = np.zeros((1500, 2000), np.float32)
    mask[300:1200, 500:1600] = 1
    whole = TrainingPhoto(smooth, mask)
    trimmed = trim(whole, 64)
    assert max(trimmed.rgb.shape) <= 64 * 5
    assert trimmed.rgb.shape[:2] == trimmed.mask.shape
    first, second = (encode(base, (one,), crops=4) for one in (whole, trimmed))
    assert (first.mean - second.mean).abs().max() < 0.05 * first.mean.abs().max()
    assert (first.weight - second.weight).abs().max() < 0.3


def test_a_mirror_image_comes_only_where_it_is_asked_for(base):
    """With flip, half of many crops of a product with one bright side have it on the other."""
    rgb = np.zeros((64, 64, 3), np.uint8)
    rgb[:, :32] = 255
    half = TrainingPhoto(rgb, np.ones((64, 64), np.float32))
    kinds = [
        len({tuple(m.flatten().tolist()) for m in encode(base, (half,) * 12, 1, flip).mean}) for flip in (False, True)
    ]
    assert kinds == [1, 2]


@pytest.fixture
def shown(monkeypatch):
    """The squares that are encoded, (3, 64, 64) in [-1, 1], in their order."""
    squares, encode_pictures = [], making.encode_pictures

    def noted(base, pixels):
        squares.extend(pixels)
        return encode_pictures(base, pixels)

    monkeypatch.setattr(making, "encode_pictures", noted)
    return squares


def test_past_a_photos_edge_its_border_goes_on_and_counts_nothing(base, shown):
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[0], rgb[-1] = 255, 128
    for mask in (np.ones((40, 80), np.float32), np.zeros((40, 80), np.float32)):
        [weight] = encode(base, (TrainingPhoto(rgb, mask),), crops=1).weight[:, 0]
        square = shown.pop()
        assert (square[:, 0] == 1).all()
        assert torch.allclose(square[:, -1], torch.tensor(128 / 127.5 - 1), atol=1e-4)
        assert (weight[0] == 0).all()
        assert (weight[-1] == 0).all()
        assert (weight[3:5, 3:5] > 0).all()
        assert torch.allclose(weight, weight.flip(0), atol=1e-5), "in the middle of its crop"
        assert torch.allclose(weight, weight.flip(1), atol=1e-5)


def test_what_a_mask_only_hints_at_makes_no_crop_wider(base, shown):
    sharp = np.zeros((96, 96), np.float32)
    sharp[28:68, 28:68] = 1
    for mask in (sharp, np.maximum(sharp, 0.2)):
        encode(base, (TrainingPhoto(photo(1).rgb[:96, :96].repeat(2, 0)[:96].repeat(2, 1)[:, :96], mask),), crops=1)
    assert torch.equal(shown[0], shown[1])


def test_class_images_are_encoded_as_they_are_black_to_white(base, shown):
    images = [np.full((64, 64, 3), value, np.uint8) for value in (0, 255)]
    crops = making.encode_class_images(base, images, 64)
    assert [(float(one.min()), float(one.max())) for one in shown] == [(-1, -1), (1, 1)]
    assert (crops.weight == 1).all()


def test_a_latents_mean_and_spread_are_scaled_alike(base):
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        posterior = base.vae.encode(pixels).latent_dist
    mean, spread = making.encode_pictures(base, pixels)
    assert torch.allclose(mean, posterior.mean * base.vae.config.scaling_factor)
    assert torch.allclose(spread, posterior.std * base.vae.config.scaling_factor)
