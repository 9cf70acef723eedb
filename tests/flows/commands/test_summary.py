"""What the terminal says first is what happened."""

from flows.commands.summary import plan_summary, run_summary
from tests.flows.shop import Shop


def _headline(shop: Shop) -> str:
    return str(run_summary(shop.run())["text"]).splitlines()[0]


def test_a_night_that_only_quarantines_does_not_claim_that_all_is_well(shop: Shop) -> None:
    shop.add("good", 0)
    shop.add("spoilt", 1)
    shop.limit = 1
    assert "1 SKU left to the next run: --limit" in run_summary(shop.run())["text"]
    assert "2 products: 1 with something to do, 1 unchanged, 0 quarantined" in plan_summary(shop.plan())["text"]
    assert _headline(shop) == "Done."
    assert _headline(shop) == "Nothing to do: nothing trained, nothing rendered; the store holds it all."

    for photo in (shop.folder / "photos-1").glob("?.png"):
        photo.write_bytes(b"rubbish " + photo.name.encode())

    summary = run_summary(shop.run())
    lines = summary["text"].splitlines()
    assert lines[0] == "Nothing made: 1 SKU quarantined, 1 unchanged."
    assert "Refused: 4 (3 reference_unreadable, 1 sku_no_usable_references)" in lines
    assert sum(line.startswith("  reference_unreadable: SKU spoilt, ") for line in lines) == 3
    assert any(line.startswith("Photos to mend: those of 1 SKU, listed in ") for line in lines)
    assert summary["refused"] == {"reference_unreadable": 3, "sku_no_usable_references": 1}
    assert {one["sku"] for one in summary["rejections"]} == {"spoilt"}


def test_a_night_that_only_retires_says_so_and_one_that_nothing_is_asked_of_claims_no_images(shop: Shop) -> None:
    shop.changes = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}
    shop.add("mug", 0)
    assert _headline(shop) == "Done."
    shop.changes = {"variants": {"techniques": ["packshot"], "include": [{"categories": ["Other"]}]}}
    shop.changes |= {"store": {"retire_maximum": 1}}
    assert _headline(shop) == "Nothing made: 1 image retired, 0 SKUs quarantined, 1 unchanged."
    said = (
        "Nothing made: the store holds no image of 1 SKU, for none is asked for or all were refused: see packshot plan."
    )
    assert _headline(shop) == said
