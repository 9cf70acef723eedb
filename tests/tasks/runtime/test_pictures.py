"""Pictures that packshot itself has written, as they are read back: what is gone, damaged, or to be recoloured."""

from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from scipy import ndimage

from catalog_schemas.draft import Draft
from catalog_schemas.errors import Rejected
from catalog_schemas.reference import Reference
from tasks.imaging.compose import on_flat
from tasks.imaging.decode import decode, encode_png
from tasks.imaging.recolour import recolour
from tasks.runtime import pictures
from tasks.runtime.pictures import (
    PictureLost,
    cut_free,
    in_colour,
    photo_reader,
    read_draft,
    read_picture,
    read_reference,
)
from tasks.storage.objects import ObjectMissing, ObjectStore
from tasks.techniques import CutOut
from tests.imaging.pictures import mug

KEY = "cache/scenes/dusk.png"
PICTURE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


def test_one_that_is_written_while_another_finds_it_missing_stays(store: ObjectStore) -> None:
    """Two chunks ask for one scene: the second looks just before the first has written it."""
    read = store.read

    def just_before(key: str) -> bytes:
        try:
            return read(key)
        finally:
            store.write(key, encode_png(PICTURE))

    with patch.object(store, "read", just_before), pytest.raises(PictureLost, match=r"dusk\.png: is gone; run again"):
        read_picture(store, KEY)
    assert (read_picture(store, KEY) == PICTURE).all()


def test_a_damaged_one_of_a_cache_is_deleted_and_any_other_is_left_for_people_to_see(store: ObjectStore) -> None:
    whole = encode_png(PICTURE)
    for key in (KEY, "images/dusk.png"):
        store.write(key, whole[: len(whole) // 2])
    with pytest.raises(PictureLost, match=r"dusk\.png: was damaged and is deleted"):
        read_picture(store, KEY)
    assert not store.exists(KEY)
    with pytest.raises(Rejected):
        read_picture(store, "images/dusk.png")
    assert store.exists("images/dusk.png")
    store.delete(["images/dusk.png"])
    with pytest.raises(ObjectMissing) as gone:
        read_picture(store, "images/dusk.png")
    assert not isinstance(gone.value, PictureLost)


def test_what_is_written_is_read_again_bit_for_bit() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    assert (decode(encode_png(rgb), rgb.size).rgb == rgb).all()
    assert (decode(encode_png(rgb[::2, ::2, 0]), rgb.size).rgb[..., 1] == rgb[::2, ::2, 0]).all()


def test_a_draft_and_a_photo_come_with_their_masks_as_they_were_written(store: ObjectStore) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    store.write("cache/a.png", encode_png(np.repeat(levels[..., None], 3, 2)))
    store.write("cache/a-mask.png", encode_png(levels))
    draft = Draft("v", "cache/a.png", "cache/a-mask.png", 0.5)
    reference = Reference("mug", "A", "mug.jpg", draft.image_key, draft.mask_key, 16, 16, "given", 0.3, 1.0)
    for found in (read_draft(store, draft), read_reference(store, reference)):
        assert found.mask is not None
        assert np.array_equal(found.mask, levels.astype(np.float32) / 255)
        assert np.array_equal(found.rgb[..., 1], levels)
    assert read_draft(store, replace(draft, mask_key="")).mask is None


def test_only_a_photo_that_was_laid_on_white_gets_back_the_colours_that_it_had(store: ObjectStore) -> None:
    rgb, mask = mug(64)
    store.write("cache/mug.png", encode_png(rgb))
    store.write("cache/mask.png", encode_png(mask))
    taken = Reference("mug", "A", "mug.jpg", "cache/mug.png", "cache/mask.png", 64, 64, "given", 0.3, 1.0)
    with patch.object(pictures, "off_white", side_effect=lambda rgb, mask: np.zeros_like(rgb)) as taken_off:
        assert photo_reader(store)(taken, "", "").rgb.any()
        assert not taken_off.called
        assert not photo_reader(store)(replace(taken, mask_source="alpha"), "", "").rgb.any()


def test_a_photo_is_recoloured_once_for_all_variants_in_a_colour(store: ObjectStore) -> None:
    rgb, mask = mug(64)
    reference = Reference("mug", "A", "mug.jpg", "cache/mug.png", "cache/mask.png", 64, 64, "given", 0.3, 1.0)
    store.write(reference.image_key, encode_png(rgb))
    store.write(reference.mask_key, encode_png(mask))
    read = photo_reader(store)
    with patch.object(pictures, "recolour", side_effect=recolour) as recoloured:
        red, again = (read(reference, "#d02020", "") for _ in range(2))
        other, own = read(reference, "#2020d0", ""), read(reference, "", "")
        assert again is red
        assert recoloured.call_count == 2
        read(reference, "#d02020", "#101010")
    assert recoloured.call_args.args[2:] == ("#d02020", "#101010"), "with another colour of its own it is another photo"
    assert (own.rgb == rgb)[ndimage.binary_erosion(mask > 0.9, iterations=5)].all()
    shown = [one.rgb[mask > 0.9].mean(axis=0).argmax() for one in (red, other)]
    assert shown == [0, 2]


def _fringe(rgb: np.ndarray, mask: np.ndarray) -> float:
    """How coloured the outermost pixels of a product are that is grey, standing on grey."""
    shown, placed = on_flat(rgb, mask, "#808080", (256, 256))
    outermost = ndimage.binary_dilation(placed > 0.02) & ~ndimage.binary_erosion(placed > 0.98, iterations=2)
    return float(np.ptp(shown[outermost].astype(float), axis=1).mean())


@pytest.mark.parametrize("backdrop", [(60, 90, 180), (60, 140, 70)])
def test_a_recoloured_products_rim_keeps_nothing_of_the_old_colour(backdrop: tuple[int, int, int]) -> None:
    rgb, mask = mug(256, colour=(230, 120, 20), backdrop=backdrop)
    freed, taken = (in_colour(one, "#1a1a1c", "") for one in (cut_free(CutOut(rgb, mask)), CutOut(rgb, mask)))
    assert _fringe(freed.rgb, freed.mask) < 0.6 * _fringe(taken.rgb, taken.mask)
