"""A product's photos as square training crops, and those crops as latents, each computed once."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from tasks.engine.base_model import BaseModel


@dataclass(frozen=True)
class TrainingPhoto:
    """`rgb` uint8 (height, width, 3) in sRGB, `mask` float32 (height, width) in [0, 1], 1 where the product is."""

    rgb: NDArray[np.uint8]
    mask: NDArray[np.float32]


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
    photos: tuple[TrainingPhoto, ...],
    resolution: int,
    crops: int,
    flip: bool,
    background_weight: float,
    generator: torch.Generator,
) -> EncodedCrops:
    """`crops` squares of each photo: the first shows the whole product, the others are shifted and scaled at random."""
    pairs = [
        _crop(photo, resolution, jitter=number > 0, flip=flip, generator=generator)
        for photo in photos
        for number in range(crops)
    ]
    pixels, masks = torch.stack([pair[0] for pair in pairs]), torch.stack([pair[1] for pair in pairs])
    inside, product = masks[:, :1], masks[:, 1:]
    return _encode(base, pixels, inside * (background_weight + (1 - background_weight) * product))


def encode_class_images(base: BaseModel, images: tuple[NDArray[np.uint8], ...], resolution: int) -> EncodedCrops:
    """Square images (height, width, 3) as they are, all of them weighing the same everywhere."""
    pixels = torch.stack([torch.from_numpy(image).permute(2, 0, 1).float() / 127.5 - 1 for image in images])
    pixels = F.interpolate(pixels, (resolution, resolution), mode="bilinear", antialias=True).clamp(-1, 1)
    return _encode(base, pixels, torch.ones(len(pixels), 1, resolution, resolution))


@torch.no_grad()
def _encode(base: BaseModel, pixels: Tensor, weight: Tensor) -> EncodedCrops:
    parameters = next(base.vae.parameters())
    means, spreads = [], []
    for chunk in pixels.split(4):
        posterior = base.vae.encode(chunk.to(parameters.device, parameters.dtype)).latent_dist
        means.append(posterior.mean)
        spreads.append(posterior.std)
    factor = base.vae.config.scaling_factor
    mean, spread = torch.cat(means) * factor, torch.cat(spreads) * factor
    weight = F.interpolate(weight, mean.shape[-2:], mode="area")
    weight = weight / weight.mean((1, 2, 3), keepdim=True)
    dtype = torch.float64 if base.dtype == torch.float64 else torch.float32
    return EncodedCrops(mean.to(dtype), spread.to(dtype), weight.to(base.device, dtype))


def _crop(
    photo: TrainingPhoto, resolution: int, jitter: bool, flip: bool, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One square: pixels (3, resolution, resolution) in [-1, 1], and (inside the photo, product) in [0, 1].

    Past the photo's edge its border pixels go on, and the loss there counts nothing.
    """
    height, width = photo.mask.shape
    top, left, bottom, right = _product_box(photo.mask)
    draw = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    side = max(bottom - top, right - left) * (1.15 + (0.55 * draw[0] if jitter else 0.0))
    centre_y = (top + bottom) / 2 + ((draw[1] - 0.5) * 0.25 * side if jitter else 0.0)
    centre_x = (left + right) / 2 + ((draw[2] - 0.5) * 0.25 * side if jitter else 0.0)
    start_y, start_x = round(centre_y - side / 2), round(centre_x - side / 2)
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


def _product_box(mask: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the mask; the whole photo where the mask is empty."""
    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        return 0, 0, mask.shape[0], mask.shape[1]
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
