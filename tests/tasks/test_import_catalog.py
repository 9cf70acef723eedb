"""Which folders a catalog may point to is what its importer was told, and nothing the catalog says."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.import_catalog import granted_prefixes, import_catalog


def _import(tmp_path: Path, text: str | bytes, out: str = "catalog.parquet") -> list[dict[str, Any]]:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "shop.csv").write_bytes(data)
    count = import_catalog("csv", str(tmp_path / "shop.csv"), str(tmp_path / out)).products
    rows = pq.read_table(tmp_path / out).to_pylist(maps_as_pydicts="strict")
    assert len(rows) == count
    return rows


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


def test_an_import_tells_of_photos_that_a_run_will_refuse(tmp_path: Path) -> None:
    shop = tmp_path / "shop.csv"
    shop.write_text(
        "sku,title,class_noun,photos\na,A,mug,a.png\nb,B,mug,../b.png\nc,C,mug,/etc/passwd\nd,D,mug,x/../d.png\n"
    )
    [remark] = import_catalog("csv", str(shop), str(tmp_path / "catalog.parquet")).remarks
    assert "photos outside this file's folder" in remark
    assert remark.endswith(": 2 (first: line 3)")
