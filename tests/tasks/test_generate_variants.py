"""Which photos of a product are shown."""

from catalog_schemas.reference import Reference
from tasks.generate_variants import clean


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
