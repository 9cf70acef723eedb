import os
import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog_schemas.errors import CatalogError, PackshotError
from catalog_schemas.product import CATALOG_SCHEMA
from tasks.storage import catalogs
from tasks.storage.catalogs import open_parquet, row_batches
from tasks.storage.objects import open_store
from tests.servers.fixtures import CLOUDS, CloudServer

ROOT = Path(__file__).parents[2]


def catalog(rows: int = 100) -> pa.Table:
    return pa.table({"sku": [f"sku-{number}" for number in range(rows)], "title": ["a title"] * rows})


@pytest.fixture(params=["file", *CLOUDS])
def place(request: pytest.FixtureRequest, tmp_path: Path):
    """Puts bytes where a catalog may be, and says where that is."""
    url = (
        str(tmp_path)
        if request.param == "file"
        else request.getfixturevalue(request.param).make_bucket(f"place-{os.urandom(4).hex()}")
    )
    store = open_store(url)

    def put(data: bytes, name: str = "catalog.parquet") -> str:
        store.write(name, data)
        return store.uri(name)

    return put


def parquet_bytes(table: pa.Table, **options) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    return sink.getvalue().to_pybytes()


def test_a_catalog_is_streamed_in_batches(place) -> None:
    uri = place(parquet_bytes(catalog(1000), row_group_size=300))
    file = open_parquet(uri)
    batches = list(row_batches(file, uri, ["sku"], rows=250))
    assert sum(batch.num_rows for batch in batches) == 1000
    assert max(batch.num_rows for batch in batches) <= 250
    assert batches[0].schema.names == ["sku"]
    file.close()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PAR1",
        b"sku,title\n1,mug\n",
        parquet_bytes(catalog())[:-20],
        parquet_bytes(catalog())[:200],
        b"PAR1" * 100,
    ],
    ids=["empty", "magic only", "csv", "cut at the end", "cut early", "only magic"],
)
def test_what_is_not_whole_parquet_is_a_catalog_error(place, data: bytes) -> None:
    uri = place(data)
    said = (
        r"Parquet file, got none; packshot import csv FILE" if data.startswith(b"sku") else r"a whole Parquet file, got"
    )
    with pytest.raises(CatalogError, match=said) as caught:
        open_parquet(uri)
    assert caught.value.uri == uri
    assert len(caught.value.faults) == 1


def test_a_page_that_is_damaged_is_a_catalog_error(place) -> None:
    data = bytearray(parquet_bytes(catalog(5000), compression="zstd"))
    data[20:2000] = b"\xff" * 1980
    uri = place(bytes(data))
    file = open_parquet(uri)
    with pytest.raises(CatalogError, match="damaged"):
        list(row_batches(file, uri))


HARMS_A_FOOTER = """
import sys
from pathlib import Path
from catalog_schemas.errors import CatalogError
from tasks.storage.catalogs import open_parquet, row_batches

file = Path(sys.argv[1])
data = file.read_bytes()
begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
for place in range(begin, begin + 100):
    for bit in (1, 2, 3):
        harmed = bytearray(data)
        harmed[place] ^= 1 << bit
        file.write_bytes(harmed)
        try:
            with open_parquet(str(file)) as opened:
                list(row_batches(opened, str(file)))
        except CatalogError as error:
            print(*error.faults)
"""


def test_a_footer_that_is_damaged_is_a_catalog_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    """In a process of its own: to fork one that has loaded all that tests need takes a tenth of a second, 300 times."""
    file = tmp_path / "catalog.parquet"
    file.write_bytes(parquet_bytes(catalog(), compression="none"))
    done = subprocess.run([sys.executable, "-c", HARMS_A_FOOTER, str(file)], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "describes no columns" in done.stdout


def test_a_catalog_that_is_opened_again_is_not_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "catalog.parquet"
    with patch("os.fork", wraps=os.fork) as fork:
        for rows in (11, 11, 12, 11):
            file.write_bytes(parquet_bytes(catalog(rows)))
            open_parquet(str(file)).close()
    assert fork.call_count == 2


def test_a_missing_catalog_is_a_catalog_error(tmp_path: Path, cloud: CloudServer) -> None:
    bucket = cloud.make_bucket(f"no-catalog-{os.urandom(4).hex()}")
    for uri in (str(tmp_path / "none.parquet"), str(tmp_path), f"{bucket}/none.parquet"):
        with pytest.raises(CatalogError, match="expected a Parquet file, found none"):
            open_parquet(uri)
    for uri in ("https://shop.example/c.parquet", "simplecache::file:///etc/passwd", "memory://c.parquet"):
        with pytest.raises(CatalogError, match="another kind of URL"):
            open_parquet(uri)
    with pytest.raises(PackshotError, match="no such bucket"):
        open_parquet(cloud.url("no-such-bucket") + "/none.parquet")


def test_a_catalog_beyond_the_caps_is_a_catalog_error(tmp_path: Path) -> None:
    pq.write_table(catalog(1000), tmp_path / "long.parquet")
    with pytest.raises(CatalogError, match="at most 999 rows"):
        open_parquet(str(tmp_path / "long.parquet"), rows_maximum=999)
    open_parquet(f"file://{tmp_path}/long.parquet", rows_maximum=1000).close()
    pq.write_table(pa.table({f"c{number}": [1] for number in range(1001)}), tmp_path / "wide.parquet")
    with pytest.raises(CatalogError, match="1000 columns"):
        open_parquet(str(tmp_path / "wide.parquet"))


def products(rows: int) -> pa.Table:
    row = {
        "sku": "a",
        "title": None,
        "class_noun": "mug",
        "references": ["x.png", "y.png"],
        "masks": [],
        "attributes": [("colour", "red"), ("size", None)],
        "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    schema = pa.schema([field.with_nullable(True) for field in CATALOG_SCHEMA])
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names}] * rows, schema=schema)


def test_rows_come_as_the_file_declares_them(place) -> None:
    uri = place(parquet_bytes(products(50)))
    with open_parquet(uri) as file:
        batches = list(row_batches(file, uri, rows=20))
        assert pa.Table.from_batches(batches).to_pylist() == products(50).to_pylist()
        assert batches[0].schema.types == file.schema_arrow.types


def test_a_text_bomb_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    """Ten thousand titles of a megabyte: a small file, ten gigabytes decoded."""
    values = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 2**20]))
    pq.write_table(pa.table({"title": values}), tmp_path / "bomb.parquet", store_schema=False)
    uri = str(tmp_path / "bomb.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 2**21
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_parquet(uri) as file:
        for number, batch in enumerate(row_batches(file, uri)):
            assert batch.num_rows <= 64
            if number == 5:
                break
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


def test_a_list_bomb_is_refused_by_its_size(tmp_path: Path) -> None:
    values = pa.array(np.zeros(51_000_000, np.int8))
    row = pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)
    pq.write_table(pa.table({"references": row}), tmp_path / "list.parquet", use_dictionary=False)  # it takes seconds
    with pytest.raises(CatalogError, match="values of a column in a row group"):
        open_parquet(str(tmp_path / "list.parquet"))


TEXT = pa.string()
PLACES = {
    "text": (TEXT, lambda text: text),
    "a view of text": (pa.string_view(), lambda text: text),
    "a list": (pa.list_(TEXT), lambda text: [text, None]),
    "a list of views": (pa.list_(pa.string_view()), lambda text: [text]),
    "a large list": (pa.large_list(TEXT), lambda text: [text]),
    "a large list of views": (pa.large_list(pa.string_view()), lambda text: [text]),
    "keys": (pa.map_(TEXT, TEXT), lambda text: [(text, "x")]),
    "items": (pa.map_(TEXT, TEXT), lambda text: [("x", text), ("y", None)]),
    "a record": (pa.struct([("x", TEXT)]), lambda text: {"x": text}),
    "many numbers": (pa.list_(pa.int32()), lambda text: [1] * (len(text) // catalogs.VALUE_BYTES)),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_batch_holds_so_much_text_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(catalogs, "BATCH_BYTES_MAXIMUM", 2000)
    kind, of = PLACES[place]
    file = str(tmp_path / "catalog.parquet")

    def read(lengths: list[int]) -> list[pa.RecordBatch]:
        column = pa.array([of("x" * length) for length in lengths], kind)
        pq.write_table(pa.table({"column": column}), file)
        with open_parquet(file) as opened:
            batches = list(row_batches(opened, file))
        assert [row for batch in batches for row in batch["column"].to_pylist()] == column.to_pylist()
        return batches

    assert max(map(len, read([800] * 10))) == 2
    assert len(read([10] * 10)) == 1
    with pytest.raises(CatalogError, match="expected at most 2000 bytes of text and lists in a row, got more"):
        read([10, 2100, 10])


def test_a_column_that_is_there_twice_is_a_catalog_error(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], ["b"]], names=["sku", "sku"]), tmp_path / "twice.parquet")
    with pytest.raises(CatalogError, match="expected one column 'sku', got 2"):
        open_parquet(str(tmp_path / "twice.parquet"))
