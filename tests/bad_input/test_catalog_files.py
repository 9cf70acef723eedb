"""A file that is no catalog ends the run at once, with every fault in one message; an odd one that can be read is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog_schemas.errors import CatalogError
from catalog_schemas.rejection import Reason
from tasks.read_catalog import catalog_batches
from tests.bad_input.night import BAD, Night
from tests.drawn_products import write_catalog

Spoil = Callable[[Path], None]


def bytes_of(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda file: (file.write_bytes(change(file.read_bytes())), None)[1]


def table_of(change: Callable[[pa.Table], pa.Table]) -> Spoil:
    return lambda file: pq.write_table(change(pq.read_table(file)), file)


def with_column(name: str, values: pa.Array) -> Spoil:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.names.index(name), name, values)

    return table_of(change)


def list_bomb(file: Path) -> None:
    """Two million references in one row of a file of some hundred kilobytes."""
    table = pq.read_table(file).slice(0, 1)
    bomb = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000_000, pa.int32()), pa.array([""])).cast(pa.string())
    listed = pa.ListArray.from_arrays(pa.array([0, len(bomb)], pa.int32()), bomb)
    pq.write_table(table.set_column(table.schema.names.index("references"), "references", listed), file)


def text_bomb(file: Path) -> None:
    """A row of a gigabyte: the same megabyte a thousand times."""
    table = pq.read_table(file).slice(0, 1)
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 2**20]))
    listed = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    table = table.set_column(table.schema.names.index("references"), "references", listed)
    pq.write_table(table, file, store_schema=False)


def unlike(table: pa.Table) -> pa.Table:
    plain = {"sku": [1, 2], "title": ["a", "b"], "class_noun": [["mug"], []], "references": ["a.png", "b.png"]}
    return pa.table(plain | {"updated_at": ["today", "today"]})


REFUSED: dict[str, tuple[Spoil, list[str]]] = {
    "missing": (Path.unlink, ["found none"]),
    "a folder": (lambda file: (file.unlink(), file.mkdir())[1], ["found none"]),
    "empty": (bytes_of(lambda data: b""), ["whole Parquet file"]),
    "truncated at its end": (bytes_of(lambda data: data[:-9]), ["whole Parquet file"]),
    "truncated at its beginning": (bytes_of(lambda data: data[9:]), ["whole Parquet file"]),
    "half of it": (bytes_of(lambda data: data[: len(data) // 2]), ["whole Parquet file"]),
    "its end alone": (bytes_of(lambda data: b"PAR1" + data[-2000:]), ["Parquet file"]),
    "not Parquet": (bytes_of(lambda data: b"sku,title\n1,mug\n"), ["got none", "packshot import csv FILE"]),
    "a web page": (bytes_of(lambda data: b"<!DOCTYPE html><title>Sign in</title>"), ["a Parquet file, got none"]),
    "missing columns": (
        table_of(lambda table: table.select(["sku", "brand"])),
        ["column 'title' is missing", "column 'class_noun' is missing", "column 'references' is missing"],
    ),
    "no columns": (
        table_of(lambda table: pa.table({"x": [1]})),
        ["column 'sku' is missing", "'references' is missing"],
    ),
    "wrong types": (
        table_of(unlike),
        ["'sku' is int64", "'class_noun' is list", "'references' is string", "'updated_at' is string"],
    ),
    "a column of structs": (
        with_column("references", pa.array([[{"url": "a.png"}]] * 2)),
        ["'references' is list<element: struct<url: string>>; expected list<item: string>"],
    ),
    "duplicate columns": (
        table_of(lambda table: table.append_column("sku", table["sku"]).append_column("title", table["title"])),
        ["expected one column 'sku', got 2", "expected one column 'title', got 2"],
    ),
    "too many columns": (
        table_of(lambda table: pa.table({f"c{n}": [1] for n in range(1001)})),
        ["1000 columns, got 1 and 1001"],
    ),
    "a list bomb": (list_bomb, ["bytes of text and lists in a row"]),
    "a text bomb": (text_bomb, ["bytes of text and lists in a row"]),
}


@pytest.fixture
def catalog(night: Night) -> Path:
    first, last = night.good()
    return write_catalog(night.folder / "catalog.parquet", [first, last])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_catalog_ends_the_run_with_every_fault(night: Night, catalog: Path, name: str) -> None:
    spoil, faults = REFUSED[name]
    spoil(catalog)
    with pytest.raises(CatalogError) as caught:
        night.judge_file()
    assert caught.value.exit_code == 2
    assert caught.value.uri == str(catalog)
    for fault in faults:
        assert fault in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert not list((night.folder.parent / "store").rglob("*.parquet")), "nothing is recorded"


@pytest.mark.parametrize("uri", ["https://shop.example/c.parquet", "simplecache::file:///etc/passwd", "reference://x"])
def test_a_catalog_is_read_from_known_places_only(night: Night, uri: str) -> None:
    with pytest.raises(CatalogError, match="another kind of URL"):
        night.judge_file(replace(night.context(), catalog=uri))


def moments(*values: int, unit: str = "us", zone: str | None = "UTC") -> pa.Array:
    return pa.array(values, pa.int64()).cast(pa.timestamp(unit, zone))


ODD: dict[str, Spoil] = {
    "other flavours of text": table_of(
        lambda table: table.set_column(1, "title", table["title"].cast(pa.large_string())).set_column(
            2, "class_noun", table["class_noun"].dictionary_encode()
        )
    ),
    "views of text": table_of(
        lambda table: (
            table.set_column(0, "sku", table["sku"].cast(pa.string_view()))
            .set_column(3, "references", table["references"].cast(pa.list_(pa.string_view())))
            .set_column(5, "attributes", table["attributes"].cast(pa.map_(pa.string_view(), pa.string_view())))
        )
    ),
    "large lists": table_of(
        lambda table: table.set_column(3, "references", table["references"].cast(pa.large_list(pa.large_string())))
    ),
    "columns without a value": table_of(
        lambda table: table.set_column(6, "category", pa.nulls(2)).set_column(
            4, "masks", pa.array([[], []], pa.list_(pa.null()))
        )
    ),
    "columns of the shop's own": table_of(lambda table: table.append_column("price", pa.array([1.5, 2.5]))),
    "columns in another order": table_of(lambda table: table.select(table.schema.names[::-1])),
    "times to the nanosecond": with_column("updated_at", moments(10**18 + 1, 5, unit="ns")),
    "times of no zone": with_column("updated_at", moments(10**15, 5, zone=None)),
    "times in the year 33,658": with_column("updated_at", moments(10**12, 5, unit="s")),
    "times before the year 1": with_column("updated_at", moments(-(10**18), 5)),
    "a row group a row": lambda file: pq.write_table(pq.read_table(file), file, row_group_size=1),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_read(night: Night, catalog: Path, name: str) -> None:
    ODD[name](catalog)
    judged = night.judge_file()
    assert not judged.rejections
    assert [job.product.sku for job in judged.plan.jobs] == ["good-1", "good-2"]
    assert len(judged.references) == 4


def test_a_time_out_of_the_calendar_is_no_time(night: Night, catalog: Path) -> None:
    with_column("updated_at", moments(10**12, 5, unit="s"))(catalog)
    first, second = (job.product.updated_at for job in night.judge_file().plan.jobs)
    assert first is None
    assert second == datetime(1970, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("column", ["sku", "title", "class_noun", "category"])
def test_text_that_is_not_utf_8_costs_its_row(night: Night, unharmed, column: str) -> None:
    night.add()
    write_catalog(night.folder / "catalog.parquet", [night.good()[0], *night.rows, night.good()[1]])
    table = pq.read_table(night.folder / "catalog.parquet")
    values = [None if value is None else value.encode() for value in table[column].to_pylist()]
    values[1] = b"caf\xe9 \xff"
    table = table.set_column(table.schema.names.index(column), column, pa.array(values).view(pa.string()))
    pq.write_table(table, night.folder / "catalog.parquet")
    judged = night.judge_file()
    (verdict,) = judged.rejections
    assert (verdict.reason, verdict.subject) == (Reason.ROW_FIELD_INVALID, "row 2")
    assert "not UTF-8" in verdict.detail
    unharmed(judged)


def test_lists_and_attributes_that_are_not_utf_8_are_read_as_far_as_they_go(night: Night, unharmed) -> None:
    night.add(references=["photos-bad/0.png", "photos-bad/caf?.png"], attributes={"colour": "caf?"})
    first, last = night.good()
    write_catalog(night.folder / "catalog.parquet", [first, *night.rows, last])
    file = night.folder / "catalog.parquet"
    table = pq.read_table(file)
    pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=False)
    file.write_bytes(file.read_bytes().replace(b"caf?", b"caf\xe9"))
    judged = night.judge_file()
    assert judged.verdicts(BAD) == [("plan", Reason.REFERENCE_MISSING)]
    job = judged.job(BAD)
    assert job
    assert job.product.attributes == {"colour": "caf\ufffd"}
    unharmed(judged)


def test_long_attributes_of_many_products_are_read_in_parts(tmp_path: Path) -> None:
    """More text than a batch may hold, none of it in a single row: nothing to complain about."""
    rows = 3000
    keys = pa.array([f"k{n}" for n in range(rows)])
    items = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 40_000])).cast(pa.string())
    table = pa.table(
        {
            "sku": keys,
            "title": keys,
            "class_noun": keys,
            "references": pa.array([["a.png"]] * rows),
            "attributes": pa.MapArray.from_arrays(pa.array(range(rows + 1), pa.int32()), keys, items),
        }
    )
    pq.write_table(table, tmp_path / "catalog.parquet")
    batches = list(catalog_batches(str(tmp_path / "catalog.parquet")))
    assert sum(len(batch) for batch in batches) == rows
    assert len(batches) > 1
