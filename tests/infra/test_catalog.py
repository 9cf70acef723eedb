"""The demo catalog: a valid Parquet file whose references and masks are there, carried or photographed once."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalog_schemas.product import CATALOG_SCHEMA
from infra.demo import catalog
from infra.demo.catalog import CARRIED, SEED, demo_products, photograph_product, photos_of, write_demo_catalog

SKUS = 4


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "SIZE", 48)
        path = write_demo_catalog(tmp_path_factory.mktemp("catalog"), SKUS, seed=1)
        yield path


def _levels(path, side):
    return np.asarray(Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BOX)).astype(int)


def test_what_is_carried_is_what_the_studio_photographs(tmp_path, monkeypatch):
    side = 64
    monkeypatch.setattr(catalog, "SIZE", side)
    for index, (sku, spec, *_) in enumerate(demo_products()):
        photograph_product(tmp_path, sku, spec, SEED + index, 1)
        for photo in (f"photos/{sku}/00.jpg", f"masks/{sku}/00.png"):
            assert np.abs(_levels(CARRIED / photo, side) - _levels(tmp_path / photo, side)).mean() < 4, photo


def test_the_usual_catalog_is_carried_whole_and_nothing_is_photographed_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "photograph_product", lambda *_: pytest.fail("photographed"))
    rows = pq.read_table(write_demo_catalog(tmp_path)).to_pylist()
    there = {path.relative_to(CARRIED).as_posix() for path in CARRIED.rglob("*.*")}
    assert {file for row in rows for file in (*row["references"], *row["masks"])} == there
    for photo in there:
        assert Image.open(tmp_path / photo).size == (catalog.SIZE, catalog.SIZE)


def test_further_products_are_photographed(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "SIZE", 24)
    rows = pq.read_table(write_demo_catalog(tmp_path, skus=9)).to_pylist()
    sizes = [Image.open(tmp_path / row["references"][0]).size[0] for row in rows]
    assert sizes == [1024] * 8 + [24]
    assert len(rows[8]["references"]) == photos_of(8)


def test_the_catalog_has_exactly_the_declared_schema(written):
    schema = pq.read_schema(written)
    assert schema.equals(CATALOG_SCHEMA)
    assert schema.metadata == CATALOG_SCHEMA.metadata


def test_every_sku_has_three_to_five_photographs_with_masks_of_the_same_size(written):
    rows = pq.read_table(written).to_pylist()
    assert len(rows) == SKUS
    for row in rows:
        assert 3 <= len(row["references"]) == len(row["masks"]) <= 5
        for photo, mask in zip(row["references"], row["masks"], strict=True):
            image, cover = Image.open(written.parent / photo), Image.open(written.parent / mask)
            assert image.mode == "RGB"
            assert cover.mode == "L"
            assert image.size == cover.size
            assert 0.03 < np.asarray(cover).mean() / 255 < 0.7


def test_skus_are_distinct_and_described(written):
    rows = pq.read_table(written).to_pylist()
    assert len({r["sku"] for r in rows}) == len({r["class_noun"] for r in rows}) == SKUS
    assert all(r["title"] and r["brand"] and r["category"] and r["updated_at"] for r in rows)
    assert all(dict(r["attributes"])["hex"].startswith("#") for r in rows)


def test_a_catalog_that_is_there_already_is_left_alone_and_another_seed_is_made_anew(written):
    before = written.stat().st_mtime_ns
    assert write_demo_catalog(written.parent, SKUS, seed=1) == written
    assert written.stat().st_mtime_ns == before
    assert demo_products(8, 1) != demo_products(8, 2)


def test_a_half_written_catalog_is_finished_at_the_next_call(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "SIZE", 24)
    path = write_demo_catalog(tmp_path, skus=1, seed=1)
    (tmp_path / ".studio.json").unlink()
    path.write_bytes(b"half")
    assert pq.read_table(write_demo_catalog(tmp_path, skus=1, seed=1)).num_rows == 1


def test_more_skus_than_designs_are_drawn_at_random_with_their_own_names():
    found = demo_products(len(catalog.DESIGNS) + 4)
    assert len({sku for sku, *_ in found}) == len(found)
    assert all(title for _, _, title, _ in found)
