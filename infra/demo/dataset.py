"""The training set: photographs and masks from the studio in numbered shards, by several processes, resumable."""

import json
import logging
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infra.demo.studio import VERSION, random_shots

log = logging.getLogger(__name__)

SHARD = 128  # photographs of a file: small enough that many processes end close together
PER_PRODUCT = 4


def as_bytes(mask: np.ndarray) -> np.ndarray:
    """A mask in [0, 1] as the shards keep it: uint8, 255 where the product is."""
    return np.rint(mask * 255).astype(np.uint8)


def _write_shard(folder: Path, seed: int, index: int, count: int, size: int) -> Path:
    """Photograph one shard of `count` pictures unless it is there already, and return its path."""
    path = folder / f"shard-{index:04d}.npz"
    if path.exists():
        return path
    torch.set_num_threads(1)
    images, masks, records = [], [], []
    for product in range(count // PER_PRODUCT):
        number = index * (SHARD // PER_PRODUCT) + product
        for shot in random_shots(seed * 1_000_003 + number, PER_PRODUCT, size):
            images.append(shot.photograph.image)
            masks.append(as_bytes(shot.photograph.mask))
            records.append(
                {
                    "product": number if shot.product else -1,
                    "class_noun": shot.product.class_noun if shot.product else "",
                    "colour": shot.product.colour if shot.product else "",
                    "scene": shot.scene,
                    "mood": shot.mood,
                    "captions": shot.captions,
                }
            )
    rough = path.with_suffix(".part.npz")
    np.savez(rough, images=np.stack(images), masks=np.stack(masks), records=np.array(json.dumps(records)))
    rough.replace(path)
    return path


def write_dataset(folder: Path, photographs: int, seed: int = 0, size: int = 128, workers: int = 2) -> Path:
    """Fill `folder` with at least so many photographs, in shards of `SHARD`; those already there are kept.

    The folder's name carries the studio's version, the seed and the size, so that no stale photograph is ever used.
    """
    home = folder / f"shots-v{VERSION}-s{seed}-{size}"
    home.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        count = min(SHARD, photographs)
        jobs = [pool.submit(_write_shard, home, seed, i, count, size) for i in range(-(-photographs // SHARD))]
        for job in jobs:
            log.info("photographed %s", job.result().name)
    return home


def load_dataset(home: Path, photographs: int | None = None) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    """The first photographs, or all: (n, size, size, 3) uint8, their masks (n, size, size) uint8, their records."""
    images, masks, records = [], [], []
    shards = None if photographs is None else -(-photographs // SHARD)
    for path in sorted(p for p in home.glob("shard-*.npz") if ".part" not in p.name)[:shards]:
        with np.load(path) as archive:
            images.append(archive["images"])
            masks.append(archive["masks"])
            records += json.loads(str(archive["records"]))
    return np.concatenate(images), np.concatenate(masks), records
