"""A shop's CSV becomes a catalog."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from catalog_schemas.errors import CatalogError
from catalog_schemas.product import CATALOG_SCHEMA
from tasks.import_catalog import granted_prefixes, import_csv


def _import(tmp_path: Path, text: str | bytes, out: str = "catalog.parquet") -> list[dict[str, Any]]:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "shop.csv").write_bytes(data)
    count = import_csv(str(tmp_path / "shop.csv"), str(tmp_path / out)).products
    rows = pq.read_table(tmp_path / out).to_pylist(maps_as_pydicts="strict")
    assert len(rows) == count
    return rows


def test_folders_lists_and_urls_become_references(tmp_path: Path) -> None:
    rows = _import(
        tmp_path,
        "sku,title,class_noun,photos\n"
        "a,A,mug,photos/a\n"
        "b,B,mug,b/1.jpg|b/2.jpg\n"
        'c,C,mug,"c/1.jpg; c/2.jpg;"\n'
        "d,D,mug,s3://bucket/d/1.jpg\n"
        "e,E,mug,\n",
    )
    assert [row["references"] for row in rows] == [
        [str(tmp_path / "photos/a")],
        [str(tmp_path / "b/1.jpg"), str(tmp_path / "b/2.jpg")],
        [str(tmp_path / "c/1.jpg"), str(tmp_path / "c/2.jpg")],
        ["s3://bucket/d/1.jpg"],
        [],
    ]
    assert pq.read_schema(tmp_path / "catalog.parquet").equals(CATALOG_SCHEMA)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["unix", "windows"])
def test_what_spreadsheets_write_is_read(tmp_path: Path, separator: str, mark: bytes, ending: str) -> None:
    lines = [["SKU", " Title ", "class_noun", "images", "Material"], ["a", '"A, ""best"""', "mug", "a.png", "clay"], []]
    text = ending.join(separator.join(line) for line in lines)
    (row,) = _import(tmp_path, mark + text.encode())
    assert (row["sku"], row["title"], row["attributes"]) == ("a", 'A, "best"', {"material": "clay"})


def test_all_missing_columns_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        _import(tmp_path, "sku,colour,colour\na,red,blue\n")
    assert caught.value.faults == [
        "column 'title' is missing",
        "column 'class_noun' is missing",
        "a photo column is missing; expected one of references, photos, images, photo, image",
        "column 'colour' comes more than once",
    ]


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe\x00", b'sku,title,class_noun,photos\na,"A,mug,x\n', b"\x00" * 50],
    ids=["empty", "not utf-8", "open quote", "zeros"],
)
def test_a_file_that_is_no_csv_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CatalogError):
        _import(tmp_path, data)
    assert not (tmp_path / "catalog.parquet").exists()


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no such file"):
        import_csv(str(tmp_path / "none.csv"), str(tmp_path / "catalog.parquet"))


def test_hostile_cells_stay_text(tmp_path: Path) -> None:
    hostile = ["=cmd|'/c calc'!A1", "{0.__class__}", "<script>alert(1)</script>", "../../etc/passwd", "%s%n", "'; DROP"]
    lines = "".join(f'{number},"{text}",mug,p/{number}\n' for number, text in enumerate(hostile))
    rows = _import(tmp_path, "sku,title,class_noun,photos\n" + lines)
    assert [row["title"] for row in rows] == hostile


def test_a_short_row_has_empty_cells_and_a_long_one_is_cut(tmp_path: Path) -> None:
    rows = _import(tmp_path, "sku,title,class_noun,photos\na\nb,B,mug,b.png,surplus\n")
    assert (rows[0]["sku"], rows[0]["title"], rows[0]["references"]) == ("a", "", [])
    assert rows[1]["references"] == [str(tmp_path / "b.png")]


def test_photos_beside_the_catalog_need_no_grant(tmp_path: Path) -> None:
    _import(tmp_path, "sku,title,class_noun,photos\na,A,mug,a.png\n")
    assert granted_prefixes(str(tmp_path / "catalog.parquet")) == ()


def test_photos_elsewhere_are_granted_by_the_import_and_by_nothing_in_the_catalog(tmp_path: Path) -> None:
    _import(tmp_path, "sku,title,class_noun,photos\na,A,mug,a.png\nb,B,mug,/etc/passwd\n", out="out/catalog.parquet")
    assert granted_prefixes(str(tmp_path / "out/catalog.parquet")) == (str(tmp_path.resolve()),)
    assert granted_prefixes("s3://bucket/catalog.parquet") == ()


def test_importing_again_beside_the_photos_takes_the_grant_back(tmp_path: Path) -> None:
    (tmp_path / "catalog.parquet.references").write_text("/\n")
    _import(tmp_path, "sku,title,class_noun,photos\na,A,mug,a.png\n")
    assert granted_prefixes(str(tmp_path / "catalog.parquet")) == ()
