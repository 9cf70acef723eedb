"""A catalog that breaks the schema is refused with every fault; a bad row is refused alone."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas.errors import CatalogError
from catalog_schemas.rejection import Reason
from tasks.read_catalog import JudgedRows, RowReader, catalog_batches
from tests.drawn_products import product_row, write_catalog

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def _read(rows: list[dict[str, Any]]) -> JudgedRows:
    return RowReader("run", NOW).read(rows, list(range(1, len(rows) + 1)))


def _from_file(tmp_path: Path, table: pa.Table) -> list[dict[str, Any]]:
    pq.write_table(table, tmp_path / "catalog.parquet")
    return [row for batch in catalog_batches(str(tmp_path / "catalog.parquet")) for row in batch.to_pylist()]


def test_every_fault_of_the_schema_is_listed_at_once(tmp_path: Path) -> None:
    table = pa.table({"sku": [1], "title": ["T"], "references": ["a.png"], "updated_at": ["yesterday"]})
    with pytest.raises(CatalogError) as caught:
        _from_file(tmp_path, table)
    assert caught.value.faults == [
        "column 'sku' is int64; expected string",
        "column 'class_noun' is missing; expected string",
        f"column 'references' is string; expected {pa.list_(pa.string())}",
        "column 'updated_at' is string; expected timestamp[us, tz=UTC]",
    ]


def test_a_column_that_is_named_a_little_otherwise_is_pointed_at(tmp_path: Path) -> None:
    table = pa.table({"SKU": ["a"], "title": ["T"], "class noun": ["mug"], "references": [["a.png"]]})
    with pytest.raises(CatalogError) as caught:
        _from_file(tmp_path, table)
    assert caught.value.faults == [
        "column 'sku' is missing; expected string (did you mean 'SKU'?)",
        "column 'class_noun' is missing; expected string (did you mean 'class noun'?)",
    ]


def test_dictionaries_that_pandas_wrote_are_attributes(tmp_path: Path) -> None:
    attributes = [{"colour": "red", "year": 2024}, None, {"material": "größe", "year": 2025}, {}]
    rows = [product_row(f"sku-{at}", ["a.png"]) | {"attributes": one} for at, one in enumerate(attributes)]
    pd.DataFrame(rows).to_parquet(tmp_path / "catalog.parquet", row_group_size=3)
    read = [row for batch in catalog_batches(str(tmp_path / "catalog.parquet")) for row in batch.to_pylist()]
    held = [item.attributes for item in _read([row | {"attributes": dict(row["attributes"])} for row in read]).products]
    assert held == [{"colour": "red", "year": "2024"}, {}, {"material": "größe", "year": "2025"}, {}]


def test_attributes_within_attributes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"'attributes' is struct<size: struct<.*; expected map"):
        _from_file(tmp_path, pa.Table.from_pylist([product_row("a", ["a.png"]) | {"attributes": {"size": {"x": 1}}}]))


def test_the_required_columns_are_enough_and_flavours_of_text_are_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "unknown": [1],
            "class_noun": pa.array(["mug"]).dictionary_encode(),
            "references": pa.array([["a.png"]], pa.large_list(pa.large_string())),
            "title": pa.array(["T"], pa.large_string()),
            "sku": ["a"],
        }
    )
    products = _read(_from_file(tmp_path, table)).products
    assert [(item.sku, item.class_noun, item.references, item.brand) for item in products] == [
        ("a", "mug", ("a.png",), "")
    ]


def test_a_catalog_comes_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [product_row(f"sku-{number}", ["a.png", "b.png"], masks=["m.png", ""]) for number in range(5)]
    path = write_catalog(tmp_path / "catalog.parquet", rows)
    read = [row for batch in catalog_batches(str(path)) for row in batch.to_pylist(maps_as_pydicts="lossy")]
    products = _read(read).products
    assert [item.sku for item in products] == [f"sku-{number}" for number in range(5)]
    assert products[0].attributes == {"material": "clay"}
    assert products[0].masks == ("m.png", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sku": " "}, Reason.ROW_FIELD_MISSING),
        ({"title": None}, Reason.ROW_FIELD_MISSING),
        ({"class_noun": ""}, Reason.ROW_FIELD_MISSING),
        ({"references": []}, Reason.ROW_NO_REFERENCES),
        ({"references": None}, Reason.ROW_NO_REFERENCES),
        ({"references": ["", None]}, Reason.ROW_NO_REFERENCES),
        ({"title": "x" * 501}, Reason.ROW_FIELD_INVALID),
        ({"sku": "a\x00b"}, Reason.ROW_FIELD_INVALID),
        ({"title": "in\u202everted"}, Reason.ROW_FIELD_INVALID),
        ({"sku": "first"}, Reason.ROW_DUPLICATE_SKU),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_number(change: dict[str, Any], reason: Reason) -> None:
    rows = [product_row("first", ["a.png"]), product_row("second", ["a.png"]) | change, product_row("third", ["a.png"])]
    verdicts = _read(rows)
    assert [item.sku for item in verdicts.products] == ["first", "third"]
    (rejection,) = verdicts.rejections
    assert (rejection.reason, rejection.subject) == (reason, "row 2")
    assert rejection.detail.startswith("row 2")


def test_two_spellings_of_one_sku_are_one() -> None:
    verdicts = _read([product_row("caf\u00e9", ["a.png"]), product_row("cafe\u0301", ["a.png"])])
    assert [rejection.reason for rejection in verdicts.rejections] == [Reason.ROW_DUPLICATE_SKU]


odd = st.one_of(st.none(), st.text(max_size=200), st.just("x" * 600))
skus = st.text("ab e\u0301\u00e9", max_size=4) | odd
# Were all fields of every row odd, next to none would be taken.
odd_rows = st.fixed_dictionaries({"sku": skus}, optional=dict.fromkeys(("title", "class_noun", "brand"), odd))


@given(st.lists(odd_rows, max_size=5))
def test_whatever_a_row_holds_it_is_taken_or_refused(rows: list[dict[str, Any]]) -> None:
    verdicts = _read([product_row("s", ["a.png"]) | row for row in rows])
    assert len(verdicts.products) + len(verdicts.rejections) == len(rows)
    assert len({item.sku for item in verdicts.products}) == len(verdicts.products)
    for item in verdicts.products:
        assert item.sku == item.sku.strip() != ""
        assert item.title.isprintable() or not any(ord(letter) < 32 for letter in item.title)
