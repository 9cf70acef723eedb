"""What shows a photo's own pixels shows all of them, whatever size the model draws."""

from tests.drawn_products import write_photos
from tests.flows.shop import Shop

DRAWN = 64  # the tiny model's own size


def _sizes(shop: Shop) -> dict[str, set[int]]:
    sizes: dict[str, set[int]] = {}
    for row in shop.live():
        sizes.setdefault(row["technique"], set()).add(max(row["width"], row["height"]))
    return sizes


def test_packshots_and_composites_are_as_large_as_the_photo_or_the_bound_allows(shop: Shop) -> None:
    shop.changes["variants"] = {"scenes": ["wooden-table"], "colours": ["original"]}
    shop.add("large", 1)
    write_photos(shop.folder / "photos-1", 1, side=1000)
    shop.run()
    sizes = _sizes(shop)
    assert sizes["regenerate"] == {DRAWN}
    assert min(sizes["packshot"]) > 500, "the product is half of a photo of 1000 pixels"
    assert min(sizes["composite"]) > 700
    drawn = {row["image_id"] for row in shop.live() if row["technique"] == "regenerate"}

    shop.changes["generation"] = {"side_maximum": 300}
    again = shop.run().record
    assert _sizes(shop) == {"regenerate": {DRAWN}, "packshot": {300}, "composite": {300}}
    assert again.adapters_trained == 0
    assert {row["image_id"] for row in shop.live() if row["technique"] == "regenerate"} == drawn, "not drawn again"
