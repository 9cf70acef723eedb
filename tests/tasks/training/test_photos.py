"""What training reads, it reads when it needs it, and few at a time."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from catalog_schemas.reference import Reference
from tasks.imaging.decode import encode_png
from tasks.storage.objects import ObjectStore
from tasks.threads import AT_ONCE
from tasks.training.photos import training_photos


class Counting(ObjectStore):
    """A store that notes the pictures that are read."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.seen = list[str]()

    def read(self, key: str) -> bytes:
        self.seen.append(key)
        return super().read(key)


def test_photos_are_read_few_at_a_time_and_again_for_whoever_asks_again(tmp_path: Path) -> None:
    store = Counting(str(tmp_path))
    store.write("photo.png", encode_png(np.full((64, 64, 3), 200, np.uint8)))
    store.write("mask.png", encode_png(np.ones((64, 64), np.float32)))
    photo = Reference("id", "mug", "photo.png", "photo.png", "mask.png", 64, 64, "given", 1.0, 1.0)
    photos = training_photos(SimpleNamespace(resolution=64), [photo] * 11, store)
    assert not store.seen
    assert next(iter(photos)).rgb.shape == (64, 64, 3)
    assert len(store.seen) == 2 * AT_ONCE
    assert len(list(photos)) == 11
    assert len(store.seen) == 2 * (AT_ONCE + 11)
