"""Which photos a class learns from."""

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Reference
from tasks.training.classes import class_photos


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
