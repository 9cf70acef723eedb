"""The fidelity benchmark goes through all its tables on a tiny model, and its numbers hang together."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.engine.base_model import load_base
from tasks.engine.similarity import load_scorer
from tests.bench.bench_fidelity import METHODS, TABLES, measure, parse, write
from tests.bench.by_technique import TECHNIQUES
from tests.bench.likeness import alone, ceiling, likeness, read_products
from tests.configs_tiny import write_tiny_config
from tests.drawn_products import product_row, write_catalog, write_photos
from tests.models.tiny import build_tiny_clip, build_tiny_controlnet, build_tiny_sd


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    return load_scorer(build_tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    rows = [
        product_row(f"sku-{number}", **write_photos(folder / f"photos-{number}", number), class_noun=noun)
        for number, noun in enumerate(("mug", "vase"))
    ]
    return write_catalog(folder / "catalog.parquet", rows)


def test_every_table_is_measured_and_written(tmp_path, catalog, scorer, capsys):
    model = build_tiny_sd(tmp_path / "model")
    config = write_tiny_config(tmp_path / "config.yaml", model, generation={"steps": 1})
    arguments = ["--tables", ",".join(TABLES), "--skus", "2", "--steps", "2", "--images", "1", "--class-images", "2"]
    build_tiny_controlnet(model / "controlnet", model)
    options = parse(
        [*arguments, "--config", str(config), "--model", str(model), "--try", '{"more": {"rank": 2, "steps": 2}}']
    )
    write(measure(load_base(model, "float32", "cpu"), scorer, catalog, options), tmp_path / "results")
    (file,) = (tmp_path / "results").glob("*.json")
    report = json.loads(file.read_text())
    names = {table: [row["name"] for row in rows] for table, rows in report["tables"].items()}
    assert names["likeness"] == ["sku-0", "sku-1", "mean"]
    assert names["cohort"] == ["cohort", "one at a time"]
    assert names["checkpoint"] == ["best checkpoint", "last checkpoint"]
    assert names["prior"] == ["before", "after, no prior", "after, prior 1"]
    assert names["methods"] == ["no adapter", "no adapter, colour in words", *METHODS]
    assert names["recipes"] == ["no adapter", "more"]
    assert names["techniques"] == list(TECHNIQUES)
    tables = report["tables"]
    assert all(0 <= row["overlap"] <= 1 for row in tables["techniques"])
    assert tables["cohort"][1]["largest distance of weights"] < 1e-3
    assert tables["prior"][0]["distance to before"] == pytest.approx(0, abs=1e-5)
    sizes = {row["name"]: row.get("bytes") for row in tables["methods"]}
    assert sizes["textual inversion"] < sizes["LoRA"] < sizes["full DreamBooth"]
    text = file.with_suffix(".md").read_text()
    assert all(f"## {table}" in text for table in TABLES)
    assert "sku-1" in capsys.readouterr().out


def test_another_photograph_is_nearer_than_another_product(catalog, scorer):
    products = read_products(catalog, 2, scorer)
    photos = [[photo.rgb for photo in product.photos] for product in products]
    wrong = likeness(scorer, products, photos[::-1])
    for one, other, swapped in zip(products, products[::-1], wrong, strict=True):
        for as_drawn in (False, True):
            best = ceiling(scorer, one, as_drawn)
            assert best.cosine > float((one.features @ other.features.T).mean())
            assert best.colour < swapped.colour


def test_products_without_masks_are_cut_out(catalog, scorer):
    table = pq.read_table(catalog)
    plain = table.set_column(
        table.schema.get_field_index("masks"), "masks", pa.nulls(len(table), pa.list_(pa.string()))
    )
    other = catalog.with_name("no-masks.parquet")
    pq.write_table(plain, other)
    for product, masked in zip(read_products(other, 2, scorer), read_products(catalog, 2, scorer), strict=True):
        for photo, given in zip(product.photos, masked.photos, strict=True):
            both, either = np.minimum(photo.mask, given.mask).sum(), np.maximum(photo.mask, given.mask).sum()
            assert both / either > 0.9


def test_only_the_product_counts():
    """Neither its surroundings nor its place."""
    mask = np.zeros((60, 80), np.float32)
    mask[10:30, 20:40] = 1
    moved, rng = np.roll(mask, (20, 30), (0, 1)), np.random.default_rng(0)
    pictures = [
        np.where(m[..., None] > 0, 200, rng.integers(0, 255, (60, 80, 3))).astype(np.uint8) for m in (mask, moved)
    ]
    assert np.array_equal(alone(pictures[0], mask), alone(pictures[1], moved))


def test_a_folder_stands_for_its_photographs_and_a_colour_may_have_another_name(scorer, tmp_path):
    listed = write_photos(tmp_path / "photos", 0, masks=False)
    attributes = {"attributes": {"color": "Light  Blue"}}
    rows = [product_row("files", **listed, **attributes), product_row("folder", ["photos"], **attributes)]
    named = {"colours": ("colour", "color")}
    files, folder = read_products(write_catalog(tmp_path / "catalog.parquet", rows), 2, scorer, **named)
    assert len(folder.photos) == 3
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(folder.photos, files.photos, strict=True))
    assert folder.words == "light blue mug"
