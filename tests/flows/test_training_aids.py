"""What the training stage adds to the engine: class images from the store, looks on the way, snapshots."""

import json
from pathlib import Path

import pytest

from catalog_schemas.errors import ConfigError
from tests.flows.shop import Shop
from tests.models.tiny import build_tiny_clip


def small(shop: Shop) -> Shop:
    """Two mugs and one image each: training is the point."""
    shop.add("mug-1", 0, class_noun="mug")
    shop.add("mug-2", 4, class_noun="mug")
    shop.changes["variants"] = {"techniques": ["regenerate"], "limit_per_sku": 1}
    return shop


def test_class_images_are_drawn_once_for_all_skus_of_a_noun(shop: Shop) -> None:
    small(shop).changes["training"] = {"prior_images": 3}
    assert shop.run().record.adapters_trained == 2
    images = list(shop.objects.list("cache/class_images"))
    assert len(images) == 3
    shop.add("mug-3", 8, class_noun="mug")
    assert shop.run().record.adapters_trained == 1
    again = list(shop.objects.list("cache/class_images"))
    assert [(info.key, info.modified) for info in again] == [(info.key, info.modified) for info in images]


def test_looks_on_the_way_are_kept_with_the_adapter(shop: Shop, tmp_path: Path) -> None:
    shop = small(shop)
    shop.changes["model"] = {"source": str(shop.model), "scorer": str(build_tiny_clip(tmp_path / "clip"))}
    shop.changes["training"] = {"evaluation": {"every": 4, "patience": 10}}
    shop.changes["checks"] = [{"name": "likeness", "minimum": -1}, {"name": "agreement", "minimum": -1}]
    assert shop.run().record.images_published == 2
    for curve in shop.tables.read("adapters", ["curve"])["curve"].to_pylist():
        looks = json.loads(curve)
        assert [look["step"] for look in looks] == [4, 8, 10]
        assert all(-1 <= look["likeness"] <= 1 for look in looks)
    for checks in shop.tables.read("images", ["checks"])["checks"].to_pylist():
        assert {check["name"] for check in json.loads(checks)} == {"likeness", "agreement"}


def test_looks_without_a_clip_model_are_refused_before_anything_starts(shop: Shop) -> None:
    small(shop).changes["training"] = {"evaluation": {"every": 4}}
    with pytest.raises(ConfigError, match=r"model\.scorer"):
        shop.run()
    assert not Path(shop.store).exists()


@pytest.mark.parametrize("compute", [{"snapshot_steps": 3}, {"cohort_size": "auto"}])
def test_how_a_cohort_is_computed_changes_nothing_of_what_it_learns(
    shop: Shop, tmp_path: Path, compute: dict[str, object]
) -> None:
    plain = small(shop).copy(tmp_path / "plain")
    shop.changes["compute"] = compute
    assert shop.run().record.adapters_trained == plain.run().record.adapters_trained == 2
    one, other = (one.tables.read("adapters", ["sku", "sha256"]).to_pydict() for one in (shop, plain))
    assert one == other
