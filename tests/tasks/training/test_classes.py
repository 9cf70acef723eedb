"""What a class learns from, and what becomes of its SKUs where it learns nothing."""

from pathlib import Path

import pytest

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason
from tasks.training import classes
from tasks.training.classes import class_photos, train_class_adapters
from tasks.training.keeping import seed_of
from tasks.training.photos import Pictures
from tests.tasks.training.engine import Engine, context_of, job_of, photos_of


def _class(*photos: str) -> AdapterSpec:
    return AdapterSpec("", "mug", "model", photos, "recipe", 1)


def _beginning(sku: str, start: AdapterSpec) -> SkuJob:
    return SkuJob(Product(sku, sku, "mug", ("photo.png",)), (), None, "new", (), start)


def _photo(name: str, sku: str) -> Reference:
    return Reference(name, sku, f"{name}.png", "", "", 64, 64, "given", 0.5, 1.0)


def test_a_class_learns_from_the_photos_that_name_it() -> None:
    mugs, a, b = _class("a", "gone"), _photo("a", "one"), _photo("b", "two")
    jobs = [_beginning("one", mugs), _beginning("two", mugs)]
    assert class_photos(mugs, jobs, {"one": (a,), "two": (b,)}) == [a]


def test_a_class_whose_photos_are_all_unusable_learns_from_the_others_of_its_own_skus() -> None:
    mugs, b = _class("gone"), _photo("b", "one")
    references = {"one": (b,), "lamp": (_photo("a", "lamp"),)}
    assert class_photos(mugs, [_beginning("one", mugs)], references) == [b]


def test_a_class_is_trained_as_a_sku_that_has_the_photos_of_all_its_skus_and_the_most_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its SKUs are looked at; of a class there is no photo that it could be held to."""
    engine, context = Engine(classes, monkeypatch), context_of(tmp_path, evaluation={})
    mugs, vases = (AdapterSpec("", noun, "model", (), "recipe", 1) for noun in ("mug", "vase"))
    jobs = [job_of("b", start=mugs), job_of("vase-1", "vase", start=vases), job_of("a", start=mugs)]
    photos = {"a": photos_of("a", "p3"), "b": photos_of("b", "p2", "p1"), "vase-1": photos_of("vase-1", "p4")}
    result = train_class_adapters(context, "classes", [mugs, vases], jobs, photos, context.open())
    assert [(job.adapter_id, job.sku, job.steps) for job in engine.jobs] == [
        (mugs.id, "class mug", 9),
        (vases.id, "class vase", 9),
    ]
    assert [(job.instance, job.prior) for job in engine.jobs] == [
        ("a photo of a sks mug, white", "a photo of a mug"),
        ("a photo of a sks vase, white", "a photo of a vase"),
    ]
    assert [job.seed for job in engine.jobs] == [seed_of(spec, 3) for spec in (mugs, vases)]
    assert [job.class_images for job in engine.jobs] == [(f"an image of {job.prior}",) for job in engine.jobs]
    seen = [job.photos.named for job in engine.jobs if isinstance(job.photos, Pictures)]
    assert [[one.id for one in photos] for photos in seen] == [["p1", "p2", "p3"], ["p4"]]
    assert engine.recipe.evaluation is None
    assert [(one.sku, one.reason) for one in result.rejections] == [
        ("b", Reason.TRAINING_DIVERGED),
        ("a", Reason.TRAINING_DIVERGED),
        ("vase-1", Reason.TRAINING_DIVERGED),
    ]
    assert "begins with a class adapter: class mug ran away" in result.rejections[0].detail
