import json

import pytest

from catalog_schemas.errors import CatalogError
from tests.importers.shop import Shop

MUG = {"sku": "1", "title": "Mug", "class_noun": "mug", "references": ["a.jpg"]}


def test_every_field_finds_its_place(shop: Shop):
    row = MUG | {
        "attributes": {"colour": "blue", "empty": "", "size": {"h": 9.50}, "glaze": ["Céladon"]},
        "weight": 1.10,
        "count": 12345678901234567890,
        "glazed": True,
        "masks": "a.png",
        "brand": None,
        "updated_at": "2026-03-01",
    }
    mug = shop.products("jsonl", json.dumps(row) + "\n\n")["1"]
    assert mug.references == (str(shop.folder / "a.jpg"),)
    assert mug.masks == (str(shop.folder / "a.png"),)
    assert mug.attributes == {
        "colour": "blue",
        "size": '{"h": "9.5"}',
        "glaze": '["Céladon"]',
        "weight": "1.1",
        "count": "12345678901234567890",
        "glazed": "true",
    }
    assert mug.updated_at is not None


def test_bad_lines_are_left_out_with_their_numbers(shop: Shop):
    bad = [
        "not json",
        "[1]",
        "null",
        '"text"',
        '{"sku": "2", "sku": "3"}',
        json.dumps(MUG | {"title": ["a"]}),
        json.dumps(MUG | {"references": [{}]}),
        json.dumps(MUG | {"attributes": [1]}),
        "{" * 5000,
        "[" * 500_000,
        json.dumps(MUG | {"title": "\ud800"}),
        '{"sku": "truncated',
    ]
    report = shop.imports("jsonl", "\n".join([json.dumps(MUG), *bad, json.dumps(MUG | {"sku": "last"})]))
    assert list(shop.read()[0]) == ["1", "last"]
    assert report.left_out == len(bad)
    assert [int(example.split()[1].rstrip(":")) for example in report.examples] == list(range(2, len(bad) + 2))


@pytest.mark.parametrize(
    ("content", "said"),
    [("[" + json.dumps(MUG) + "]", "JSON array"), ("sku,title\n1,A\n", "no product"), ("", "empty")],
)
def test_what_is_no_json_lines_stops(shop: Shop, content: str, said: str):
    with pytest.raises(CatalogError, match=said):
        shop.imports("jsonl", content)


def test_a_time_that_is_none_costs_only_itself(shop: Shop):
    report = shop.imports("jsonl", json.dumps(MUG | {"updated_at": "yesterday"}))
    assert shop.read()[0]["1"].updated_at is None
    assert any("no ISO 8601 time" in remark for remark in report.remarks)
