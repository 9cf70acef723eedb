"""A product's photos as square training crops, and those crops as latents, each computed once."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tasks.engine.base_model import BaseModel

TIGHTEST, LOOSEST = 1.15, 1.7  # sides of crops, in lengths of the product
FARTHEST = 0.125  # of a crop's side, that its middle is from the product's
AT_ONCE = 4  # squares that are encoded together, and no more of them are held


@dataclass(frozen=True)
class TrainingPhoto:
    """`rgb` uint8 (height, width, 3) in sRGB, `mask` float32 (height, width) in [0, 1], 1 where the product is."""

    rgb: NDArray[np.uint8]
    mask: NDArray[np.float32]


def trim(photo: TrainingPhoto, resolution: int) -> TrainingPhoto:
    """What crops of `resolution` pixels can show of a photo: the product, at most twice as large, and all around it."""
    top, left, bottom, right = _product_box(photo.mask)
    longest = max(bottom - top, right - left)
    reach = math.ceil(longest * LOOSEST * (0.5 + FARTHEST)) + 1
    window = _around((top + bottom) // 2, reach), _around((left + right) // 2, reach)
    rgb, mask = photo.rgb[window], photo.mask[window]
    ratio = 2 * resolution / longest
    if ratio >= 1:
        return TrainingPhoto(rgb.copy(), mask.copy())
    both = torch.from_numpy(np.dstack([rgb, mask * np.float32(255.0)])).permute(2, 0, 1)[None]
    size = [max(1, round(side * ratio)) for side in mask.shape]
    small = F.interpolate(both, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    return TrainingPhoto(np.rint(small[..., :3]).astype(np.uint8), np.asarray(small[..., 3] / 255.0, np.float32))


def _around(middle: int, reach: int) -> slice:
    return slice(max(0, middle - reach), middle + reach + 1)


@dataclass(frozen=True)
class EncodedCrops:
    """`mean` and `spread` (crops, channels, h, w) of the VAE's posterior, scaled; `weight` (crops, 1, h, w) of the
    loss at each latent, with mean 1 over each crop."""

    mean: Tensor
    spread: Tensor
    weight: Tensor

    def sample(self, index: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Latents drawn from the posterior, and the loss weights, of the crops in `index`."""
        return self.mean[index] + self.spread[index] * noise, self.weight[index]


def encode_crops(
    base: BaseModel,
    photos: Iterable[TrainingPhoto],
    resolution: int,
    crops: int,
    flip: bool,
    background_weight: float,
    generator: torch.Generator,
) -> EncodedCrops:
    """`crops` squares of each photo: all show the whole product, all but the first shifted and scaled at random.

    A photo whose mask is empty is all product.
    Photos are gone through once, and only what is encoded is kept: of a class there are hundreds.
    """

    def squares() -> Iterator[tuple[Tensor, Tensor]]:
        for photo in photos:
            for number in range(crops):
                pixels, masks = _crop(photo, resolution, jitter=number > 0, flip=flip, generator=generator)
                inside, product = masks[:1], masks[1:]
                weight = inside * (background_weight + (1 - background_weight) * product)
                yield pixels, weight if weight.any() else inside

    return _encode(base, squares())


def encode_class_images(base: BaseModel, images: Iterable[NDArray[np.uint8]], resolution: int) -> EncodedCrops:
    """Square images (height, width, 3) as they are, all of them weighing the same everywhere."""

    def squares() -> Iterator[tuple[Tensor, Tensor]]:
        for image in images:
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
            pixels = F.interpolate(pixels, (resolution, resolution), mode="bilinear", antialias=True).clamp(-1, 1)
            yield pixels[0], torch.ones(1, resolution, resolution)

    return _encode(base, squares())


@torch.no_grad()
def encode_pictures(base: BaseModel, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of the latents (n, channels, h, w) of pictures (n, 3, height, width) in [-1, 1], scaled."""
    parameters = next(base.vae.parameters())
    means, spreads = [], []
    for chunk in pixels.split(AT_ONCE):
        posterior = base.vae.encode(chunk.to(parameters.device, parameters.dtype)).latent_dist
        means.append(posterior.mean)
        spreads.append(posterior.std)
    factor = base.vae.config.scaling_factor
    return torch.cat(means) * factor, torch.cat(spreads) * factor


def _encode(base: BaseModel, squares: Iterator[tuple[Tensor, Tensor]]) -> EncodedCrops:
    """Squares and their weights, few at a time."""
    parts = []
    while few := tuple(islice(squares, AT_ONCE)):
        mean, spread = encode_pictures(base, torch.stack([pixels for pixels, _ in few]))
        weight = F.interpolate(torch.stack([weight for _, weight in few]), mean.shape[-2:], mode="area")
        parts.append((mean, spread, weight / weight.mean((1, 2, 3), keepdim=True)))
    dtype = torch.float64 if base.dtype == torch.float64 else torch.float32
    return EncodedCrops(*(torch.cat(part).to(base.device, dtype) for part in zip(*parts, strict=True)))


def _crop(
    photo: TrainingPhoto, resolution: int, jitter: bool, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One square: pixels (3, resolution, resolution) in [-1, 1], and (inside the photo, product) in [0, 1].

    Past the photo's edge its border pixels go on, and the loss there counts nothing.
    """
    height, width = photo.mask.shape
    top, left, bottom, right = _product_box(photo.mask)
    draw = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    side = max(bottom - top, right - left) * (TIGHTEST + ((LOOSEST - TIGHTEST) * draw[0] if jitter else 0.0))
    centre_y = (top + bottom) / 2 + (_shift(draw[1], side, bottom - top) if jitter else 0.0)
    centre_x = (left + right) / 2 + (_shift(draw[2], side, right - left) if jitter else 0.0)
    start_y, start_x = _rounded(centre_y - side / 2), _rounded(centre_x - side / 2)
    size = max(round(side), 8)
    rows = np.arange(start_y, start_y + size)
    columns = np.arange(start_x, start_x + size)
    window = np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))
    inside = np.outer((rows >= 0) & (rows < height), (columns >= 0) & (columns < width))
    pixels = torch.from_numpy(photo.rgb[window]).permute(2, 0, 1).float() / 127.5 - 1
    masks = torch.from_numpy(np.stack([inside.astype(np.float32), photo.mask[window]]))
    both = F.interpolate(torch.cat([pixels, masks])[None], (resolution, resolution), mode="bilinear", antialias=True)[0]
    if flip and draw[3] < 0.5:
        both = both.flip(-1)
    return both[:3].clamp(-1, 1), both[3:].clamp(0, 1)


def _rounded(place: float) -> int:
    """Halves go up, those too that floats miss by a little: a trimmed photo is to be cropped like the whole one."""
    return math.floor(place + 0.500001)


def _shift(chance: float, side: float, product: int) -> float:
    """How far from the product's middle a square is taken: at most so far that it has all of the product."""
    return (2 * chance - 1) * min(FARTHEST * side, (side - product) / 2)


def _product_box(mask: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the mask; the whole photo where the mask is empty."""
    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        return 0, 0, mask.shape[0], mask.shape[1]
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
