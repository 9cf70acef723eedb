"""Pictures that packshot itself has written, as they are read back: what is gone, and what is damaged."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from catalog_schemas.errors import Rejected
from tasks.imaging.decode import encode_png
from tasks.pictures import PictureLost, read_picture
from tasks.storage.objects import ObjectMissing, ObjectStore

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
