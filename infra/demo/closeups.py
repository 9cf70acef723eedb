"""Close-ups for the CLIP's image tower: the product fills the picture, alone on grey or with what surrounds it."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

GREY = 119 / 127.5 - 1
ALONE = 0.6  # of the close-ups; the others keep what surrounds the product
SIDES = (1.0, 1.4)  # of a close-up, in sides of the product
SHIFT = 0.06  # of the product from the middle, at most, in sides of the close-up


def boxes(masks: np.ndarray) -> np.ndarray:
    """Top, left, bottom and right (n, 4) in pixels of what masks (n, h, w) uint8 show; zeros where they are empty."""
    seen = masks >= 128
    found = np.zeros((len(masks), 4), np.int64)
    for axis in (0, 1):  # rows, then columns
        lines: np.ndarray = np.any(seen, axis=2 - axis)
        found[:, axis] = lines.argmax(1)
        found[:, 2 + axis] = lines.shape[1] - lines[:, ::-1].argmax(1)
    found[~seen.any((1, 2))] = 0
    return found


def closeups(
    images: np.ndarray,
    masks: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Close-ups (n, 3, size, size) in [-1, 1] of photographs (n, size, size, 3), their masks and their `boxes`.

    Half of them are mirrored. No box may be empty.
    """
    count, size = images.shape[:2]
    top, left, bottom, right = found.T
    side = np.maximum(bottom - top, right - left) * rng.uniform(*SIDES, count)
    across, down = ((a + b) / 2 + side * rng.uniform(-SHIFT, SHIFT, count) for a, b in ((left, right), (top, bottom)))
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0] = side / size * rng.choice([-1, 1], count)
    theta[:, 1, 1] = side / size
    theta[:, 0, 2], theta[:, 1, 2] = 2 * across / size - 1, 2 * down / size - 1
    grid = F.affine_grid(torch.from_numpy(theta).to(device), [count, 3, size, size], align_corners=False)
    shown, covered = torch.from_numpy(images).to(device).float(), torch.from_numpy(masks).to(device).float()
    layers = torch.cat([shown / 127.5 - 1, covered[..., None] / 255], -1).permute(0, 3, 1, 2)
    taken = F.grid_sample(layers, grid, align_corners=False)
    photograph, cover = taken[:, :3], taken[:, 3:]
    alone = torch.from_numpy(rng.random(count) < ALONE).to(device)[:, None, None, None]
    return torch.where(alone, cover * photograph + (1 - cover) * GREY, photograph)
