"""A bad row, photo or image costs itself alone, has its reason, and is counted."""

from dataclasses import asdict

from tests.drawn_products import product_row
from tests.flows.shop import Shop, assert_adds_up, assert_sound


def test_every_bad_row_and_photo_has_its_reason_and_its_neighbours_are_published(shop: Shop) -> None:
    shop.add("good-1", 0)
    shop.add("good-2", 1)
    shop.add("half", 2)
    shop.add("rubbish", 3)
    shop.add("gone", 4)
    shop.add("nounless", 5, class_noun="")
    shop.rows.append(product_row("good-1", ["photos-1/0.png"], title="A second claim"))
    shop.rows.append(product_row("thief", ["/etc/passwd"]))
    cut = shop.folder / "photos-2" / "1.png"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    for photo in (shop.folder / "photos-3").glob("?.png"):
        photo.write_bytes(b"rubbish " + photo.name.encode())
    (shop.folder / "photos-4" / "2.png").unlink()

    run = asdict(shop.run().record)

    assert_adds_up(run)
    assert (run["skus_input"], run["skus_published"], run["skus_quarantined"]) == (8, 4, 4)
    assert run["skus_failed"] == run["skus_skipped"] == 0
    assert run["adapters_trained"] == 4
    assert run["images_published"] == 4 * 6
    assert shop.reasons() == [
        ("gone", "reference_missing"),
        ("good-1", "row_duplicate_sku"),
        ("half", "reference_unreadable"),
        ("nounless", "row_field_missing"),
        ("rubbish", "reference_unreadable"),
        ("rubbish", "reference_unreadable"),
        ("rubbish", "reference_unreadable"),
        ("rubbish", "sku_no_usable_references"),
        ("thief", "reference_forbidden"),
        ("thief", "sku_no_usable_references"),
    ]
    assert {row["sku"] for row in shop.live()} == {"good-1", "good-2", "half", "gone"}
    assert len(next(row for row in shop.table("adapters") if row["sku"] == "half")["references"]) == 3, "as listed"
    assert_sound(shop)
    assert shop.keys("cache/stages") == [], "the tables hold what stages have finished"
