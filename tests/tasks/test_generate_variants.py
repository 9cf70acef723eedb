"""Which photos of a product are shown, and what is drawn once for all products."""

from dataclasses import replace
from typing import Any

import pytest

from catalog_schemas.reference import Reference
from catalog_schemas.variant import VariantSpec
from tasks.generate_variants import clean
from tasks.generating.drawing import has_scene, is_drawn_alone, scene_key

TABLE = VariantSpec(
    "mug", "table", "original", "scene", "composite", 3, "an empty table", "blurry", "", "", "", "model", ("photo",),
    25, 7.0, "dpm", 64, 64, 0.8, 1,
)  # fmt: skip


def photo(name: str, confidence: float, source: str = "cut_out", share: float = 0.3) -> Reference:
    return Reference(name, "A", f"{name}.jpg", "", "", 512, 512, source, share, confidence)


def test_further_seeds_take_further_photos_but_none_whose_cut_out_is_far_worse_than_the_best() -> None:
    photos = [photo("b", 0.6), photo("bad", 0.4), photo("a", 0.8), photo("all", 0.9, share=0.99)]
    assert [one.id for one in clean(photos)] == ["a", "b"]
    assert [one.id for one in clean([photo("bad", 0.1)])] == ["bad"]
    assert clean([]) == []


def test_a_mask_of_the_catalogs_or_the_photos_own_is_shown_whatever_it_looks_like() -> None:
    photos = [photo("a", 0.8), photo("given", 0.1, "given"), photo("alpha", 0.2, "alpha"), photo("bad", 0.3)]
    assert [one.id for one in clean(photos)] == ["a", "alpha", "given"]


@pytest.mark.parametrize(
    "change",
    [
        {"base_model": "other"},
        {"prompt": "an empty shelf"},
        {"negative_prompt": "dark"},
        {"seed": 4},
        {"width": 72},
        {"height": 72},
        {"steps": 24},
        {"guidance": 6.5},
        {"scheduler": "ddim"},
        {"renderer_version": 2},
    ],
)
def test_a_scene_that_would_be_drawn_otherwise_is_another_one(change: dict[str, Any]) -> None:
    assert scene_key(replace(TABLE, **change)) != scene_key(TABLE)


@pytest.mark.parametrize("change", [{"sku": "vase"}, {"colour_hex": "#2b5fb3"}, {"references": ()}, {"surface": 0.5}])
def test_all_products_share_the_scene_that_they_stand_in(change: dict[str, Any]) -> None:
    assert scene_key(replace(TABLE, **change)) == scene_key(TABLE)


def test_what_is_guided_however_little_is_drawn_for_its_product_alone() -> None:
    assert not is_drawn_alone(TABLE)
    assert is_drawn_alone(replace(TABLE, adapter_id="a"))
    assert is_drawn_alone(replace(TABLE, strength=0.0))
    assert has_scene(TABLE)
    assert not has_scene(replace(TABLE, adapter_id="a"))
    assert has_scene(replace(TABLE, adapter_id="a", scene_prompt="an empty table"))
