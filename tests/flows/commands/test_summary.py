"""What the terminal says first is what happened."""

from flows.commands.summary import plan_summary, run_summary
from tests.flows.shop import Shop


def _headline(shop: Shop) -> str:
    return str(run_summary(shop.run())["text"]).splitlines()[0]


def test_a_rule_that_names_what_no_product_has_is_told(shop: Shop) -> None:
    shop.add("mug-1", 0)
    shop.add("mug-2", 1)
    shop.limit = 1
    rules = {
        "exclude": [{"skus": ["Mug-1", "mug-2"]}, {"categories": ["kitchen", "Gardn"]}],
        "include": [{"skus": ["x"]}],
    }
    shop.changes["variants"] = {**shop.changes.get("variants", {}), **rules}
    told = [
        "! variants.include.0.skus: the catalog has no SKU x",
        "! variants.exclude.0.skus: the catalog has no SKU Mug-1 (did you mean mug-1?)",
        "! variants.exclude.1.categories: no product has a category that contains 'Gardn'",
    ]
    assert [line for line in plan_summary(shop.plan())["text"].splitlines() if line.startswith("!")] == told
    assert [line for line in run_summary(shop.run())["text"].splitlines() if line.startswith("!")] == told


def test_of_many_skus_in_rules_that_are_gone_the_first_are_told(shop: Shop) -> None:
    shop.add("mug-1", 0)
    shop.changes["variants"] = {"exclude": [{"skus": [f"gone {number}" for number in range(5_000)]}]}
    told = plan_summary(shop.plan())["warnings"]
    assert told[19:] == [
        "variants.exclude.0.skus: the catalog has no SKU gone 19",
        "4,980 more SKUs in rules are not in the catalog",
    ]


def test_a_row_without_a_sku_is_not_what_a_rule_may_have_meant(shop: Shop) -> None:
    shop.add("mug-1", 0)
    shop.rows.append(shop.rows[0] | {"sku": None})
    shop.changes["variants"] = {"exclude": [{"skus": ["mug-2"]}]}
    told = ["variants.exclude.0.skus: the catalog has no SKU mug-2 (did you mean mug-1?)"]
    assert plan_summary(shop.plan())["warnings"] == told


def test_a_rule_s_category_is_not_missed_in_a_night_that_looks_at_no_product_of_it(shop: Shop) -> None:
    shop.add("mug-1", 0)
    shop.changes["variants"] = {"exclude": [{"skus": ["mug-1"], "categories": ["kitchen"], "colours": ["sage"]}]}
    shop.run()
    shop.add("shoe-1", 1, category="Shoes")
    assert plan_summary(shop.plan())["warnings"] == []


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
