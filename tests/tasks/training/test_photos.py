"""What training reads, it reads when it needs it, and few at a time."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Reference, References
from configs.schema import RunConfig
from tasks.engine.crops import LOOSEST
from tasks.imaging.decode import encode_png
from tasks.runtime.threads import AT_ONCE
from tasks.storage.objects import ObjectStore
from tasks.training.photos import training_photos
from tasks.training.skus import _job


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
    photos = training_photos(SimpleNamespace(resolution=64), [_photo("id")] * (AT_ONCE + 1), store)
    assert not store.seen
    assert next(iter(photos)).rgb.shape == (64, 64, 3)
    assert len(store.seen) == 2 * AT_ONCE
    assert len(list(photos)) == AT_ONCE + 1
    assert len(store.seen) == 2 * (AT_ONCE + AT_ONCE + 1)


def test_of_a_large_photo_no_more_is_held_than_crops_show(tmp_path: Path) -> None:
    store, mask = Counting(str(tmp_path)), np.zeros((400, 400), np.float32)
    mask[180:220, 180:220] = 1
    store.write("photo.png", encode_png(np.full((400, 400, 3), 200, np.uint8)))
    store.write("mask.png", encode_png(mask))
    [photo] = training_photos(SimpleNamespace(resolution=64), [_photo("id")], store)
    assert max(photo.rgb.shape) < 2 * 40 * LOOSEST


def test_the_order_of_a_skus_photos_changes_neither_what_it_learns_from_nor_what_judges_it(tmp_path: Path) -> None:
    """Nor its adapter's id: two runs of the same catalog in another order are to train the same."""
    config = {"model": {"source": "model"}, "training": {"evaluation": {"held_out": 1}}}
    context = SimpleNamespace(config=RunConfig.model_validate(config), resolution=64)
    spec = AdapterSpec("mug", "mug", "model", ("a", "b", "c"), "recipe", 1)
    job = SkuJob(Product("mug", "Mug", "mug", ("photo.png",)), (), spec, "new", ())
    for order in ("abc", "cab"):
        held_out = References()
        photos = tuple(_photo(name) for name in order)
        made = _job(context, job, photos, held_out, lambda prior: (), Counting(str(tmp_path)))
        assert [photo.id for photo in made.photos.named] == ["a", "b"]
        assert [photo.id for photo in held_out[spec.id]] == ["c"]


def _photo(name: str) -> Reference:
    return Reference(name, "mug", "photo.png", "photo.png", "mask.png", 64, 64, "given", 1.0, 1.0)
