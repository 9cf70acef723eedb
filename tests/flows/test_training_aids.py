"""What the training stage adds to the engine: class images from the store, looks on the way, snapshots."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from catalog_schemas.errors import ConfigError
from catalog_schemas.plan import SkuJob
from flows import pipeline
from tasks.runtime.context import RunContext
from tasks.training import class_images, skus
from tasks.upkeep.verify import verify
from tests.flows.shop import Shop, assert_sound, comparable
from tests.models.tiny import build_tiny_clip


def small(shop: Shop) -> Shop:
    """Two mugs and one image each: training is the point."""
    shop.add("mug-1", 0, class_noun="mug")
    shop.add("mug-2", 4, class_noun="mug")
    shop.changes["variants"] = {"techniques": ["regenerate"], "limit_per_sku": 1}
    return shop


def test_class_images_are_drawn_and_read_once_for_all_skus_of_a_noun(shop: Shop) -> None:
    small(shop).changes["training"] = {"prior_images": 3}
    with patch.object(class_images, "read_picture", wraps=class_images.read_picture) as read:
        assert shop.run().record.adapters_trained == 2
    images = list(shop.objects.list("cache/class_images"))
    assert len(images) == read.call_count == 3
    shop.add("mug-3", 8, class_noun="mug")
    assert shop.run().record.adapters_trained == 1
    again = list(shop.objects.list("cache/class_images"))
    assert [(info.key, info.modified) for info in again] == [(info.key, info.modified) for info in images]


def test_what_another_run_has_trained_since_the_plan_is_not_trained_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a night has, whose device a request waited for."""
    small(shop)
    train_all, train, trained = pipeline._train, skus.train_skus, list[str]()

    def once_another_run_has_ended(*given: Any) -> Any:
        monkeypatch.setattr(pipeline, "_train", train_all)
        assert shop.run().record.adapters_trained == 2
        return train_all(*given)

    def noted(context: RunContext, stage: str, jobs: list[SkuJob], *rest: Any) -> Any:
        trained.extend(job.product.sku for job in jobs)
        return train(context, stage, jobs, *rest)

    monkeypatch.setattr(pipeline, "_train", once_another_run_has_ended)
    monkeypatch.setattr(skus, "train_skus", noted)
    assert shop.run().record.images_published == 2
    assert trained == ["mug-1", "mug-2"]
    assert len(shop.table("adapters")) == 2
    assert_sound(shop)


def test_each_sku_begins_with_what_its_class_has_learned(shop: Shop, tmp_path: Path) -> None:
    small(shop).changes["training"] = {"start_from": "class"}
    shop.add("vase-1", 1, class_noun="vase")
    elsewhere = shop.copy(tmp_path / "elsewhere")
    planned = {job.product.sku: job.start.id for job in shop.plan().jobs if job.start}
    assert shop.run().record.adapters_trained == 3
    classes, own = by_kind(shop)
    assert set(classes) == {"mug", "vase"}
    assert {sku: row["start"] for sku, row in own.items()} == planned
    assert planned["mug-1"] == planned["mug-2"] == classes["mug"]["adapter_id"] != planned["vase-1"]
    assert len(classes["mug"]["references"]) == 6
    recipe = json.loads(read_header(shop, own["mug-1"])["packshot.recipe"])
    assert recipe["start"] == classes["mug"]["adapter_id"]

    elsewhere.run()
    assert comparable(elsewhere, "adapters") == comparable(shop, "adapters"), "the same bytes in another store"
    assert not shop.plan().jobs

    shop.add("mug-3", 8, class_noun="mug")
    assert shop.run().record.adapters_trained == 1
    later_classes, later = by_kind(shop)
    assert later_classes == classes, "a new SKU leaves its class as it is"
    assert {sku: later[sku] for sku in own} == own
    assert later["mug-3"]["start"] == classes["mug"]["adapter_id"]

    shop.changes["training"]["class_edition"] = 1
    assert shop.run().record.adapters_trained == 4
    assert len(by_kind(shop)[0]["mug"]["references"]) == 9
    assert_sound(shop)
    assert not verify(shop.objects, lambda done, total: None).orphans


def test_a_lost_class_adapter_is_trained_again_and_no_sku_that_began_with_it(shop: Shop) -> None:
    small(shop).changes["training"] = {"start_from": "class"}
    shop.run()
    classes, own = by_kind(shop)
    shop.objects.delete([classes["mug"]["key"]])
    shop.add("mug-3", 8, class_noun="mug")
    assert shop.run().record.adapters_trained == 1
    again, later = by_kind(shop)
    assert again["mug"]["adapter_id"] == later["mug-3"]["start"] == classes["mug"]["adapter_id"]
    assert again["mug"]["run_id"] != classes["mug"]["run_id"]
    assert {sku: later[sku] for sku in own} == own

    key = again["mug"]["key"]
    shop.objects.write(key, shop.objects.read(key)[:-1] + b"~")
    shop.add("mug-4", 12, class_noun="mug")
    shop.add("vase-1", 1, class_noun="vase")
    assert shop.run().record.adapters_trained == 1
    assert shop.reasons() == [("mug-4", "adapter_lost")]
    assert shop.run().record.adapters_trained == 1
    assert by_kind(shop)[1]["mug-4"]["start"] == classes["mug"]["adapter_id"]
    assert_sound(shop)


def test_a_class_that_cannot_be_learned_costs_its_own_skus_alone(shop: Shop) -> None:
    """Photos that are nothing but noise would do it too; a learning rate does it in few steps."""
    small(shop).changes["training"] = {"start_from": "class", "learning_rate": 0.9, "alpha": 1.0e6}
    shop.changes["variants"] = {"techniques": ["regenerate", "packshot"], "limit_per_sku": 2}
    run = shop.run().record
    assert (run.adapters_trained, run.images_published) == (0, 2)
    assert shop.reasons() == [("mug-1", "training_diverged"), ("mug-2", "training_diverged")]


def by_kind(shop: Shop) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The newest rows of class adapters by noun, and of the SKUs' adapters by SKU."""
    rows = sorted(shop.table("adapters"), key=lambda row: row["created_at"])
    classes = {row["class_noun"]: row for row in rows if not row["sku"]}
    return classes, {row["sku"]: row for row in rows if row["sku"]}


def read_header(shop: Shop, row: dict[str, Any]) -> dict[str, str]:
    """What an adapter's file says of itself."""
    data = shop.objects.read(row["key"])
    header: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(header["__metadata__"])


def test_looks_on_the_way_are_kept_with_the_adapter(shop: Shop, tmp_path: Path) -> None:
    shop = small(shop)
    shop.changes["model"] = {"source": str(shop.model), "scorer": str(build_tiny_clip(tmp_path / "clip"))}
    shop.changes["training"] = {"evaluation": {"every": 3, "patience": 10}, "backdrop": "plain white background"}
    shop.changes["checks"] = [{"name": "likeness", "minimum": -1}, {"name": "agreement", "minimum": -1}]
    assert shop.run().record.images_published == 2
    for curve in shop.tables.read("adapters", ["curve"])["curve"].to_pylist():
        looks = json.loads(curve)
        assert [look["step"] for look in looks] == [3, 4], "the last one too"
        assert all(-1 <= look["likeness"] <= 1 for look in looks)
    for checks in shop.tables.read("images", ["checks"])["checks"].to_pylist():
        assert {check["name"] for check in json.loads(checks)} == {"likeness", "agreement"}


def test_looks_without_a_clip_model_are_refused_before_anything_starts(shop: Shop) -> None:
    small(shop).changes["training"] = {"evaluation": {"every": 4}}
    with pytest.raises(ConfigError, match=r"model\.scorer"):
        shop.run()
    assert not Path(shop.store).exists()


def test_how_a_cohort_is_computed_changes_nothing_of_what_it_learns(shop: Shop, tmp_path: Path) -> None:
    learned = []
    for number, compute in enumerate(({}, {"snapshot_steps": 3}, {"cohort_size": "auto"})):
        one = (small(shop) if number == 0 else shop).copy(tmp_path / f"shop-{number}")
        one.changes["compute"] = compute
        assert one.run().record.adapters_trained == 2
        learned.append(one.tables.read("adapters", ["sku", "sha256"]).to_pydict())
        assert not one.keys("cache/snapshots"), "what is kept needs none any more"
    assert learned[0] == learned[1] == learned[2]
