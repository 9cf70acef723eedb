"""The demo catalog: products that the demo model has never seen, photographed on plain backdrops.

folder/catalog.parquet          one row per SKU, in `catalog_schemas.product.CATALOG_SCHEMA`
folder/photos/<sku>/NN.jpg      three to five photographs
folder/masks/<sku>/NN.png       their exact masks, white where the product is
folder/.studio.json             which studio made them; written last

The photographs of the usual catalog lie in `photographs/`, so that the demo begins at once; `python -m
infra.demo.catalog` makes them anew, in minutes. Other products are photographed when they are asked for.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from catalog_schemas.product import CATALOG_SCHEMA
from infra.demo.materials import Label, hex_of
from infra.demo.products import build, classes, random_product
from infra.demo.renderer import Pose
from infra.demo.scenes import SCENES
from infra.demo.specs import GENES, ProductSpec
from infra.demo.studio import VERSION, shoot

SIZE = 1024
"""Side of the catalog's photographs in pixels."""

CARRIED = Path(__file__).with_name("photographs")
SKUS, SEED = 8, 2026
"""The catalog whose photographs are carried."""

BACKDROPS = ("white_studio", "grey_studio", "white_studio", "beige_studio", "white_studio")
YAWS = (-0.25, 0.4, 0.05, -0.55, 0.25)
PITCHES = (0.26, 0.32, 0.18, 0.4, 0.3)
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Design:
    """A catalog product as its maker would describe it; its exact shape follows from the catalog's seed."""

    noun: str
    title: str
    brand: str
    colour: str
    accent: str
    finish: str
    pattern: str | None = None
    label: Label | None = None


WHITE, NAVY, SAND, SUN = "#f2f1ee", "#1b2a56", "#dcc5a0", "#f3c81f"

DESIGNS = (
    Design("mug", "Harbour Mug in teal", "Nord", "teal", "white", "glossy", None, Label("sun", "NORD", WHITE, None)),
    Design("sneaker", "Court Sneaker in red", "Sole", "red", "white", "leather", None, Label("star", "", WHITE, None)),
    Design("backpack", "Commuter Pack", "Alto", "navy", "yellow", "fabric", None, Label("triangle", "ALTO", SUN, None)),
    Design("teapot", "Garden Teapot in mint with navy dots", "Oake", "mint", "navy", "glossy", "dots"),
    Design("lamp", "Evening Table Lamp with orange shade", "Lumo", "orange", "white", "wood"),
    Design("candle", "Winter Candle", "Mira", "purple", "beige", "satin", None, Label("moon", "MIRA", NAVY, SAND)),
    Design("alarm clock", "Twin Bell Alarm Clock in yellow", "Pico", "yellow", "black", "glossy"),
    Design("toy car", "Little Racer in blue", "Zest", "blue", "white", "glossy", None, Label("bolt", "", SUN, None)),
    Design("bottle", "Trail Bottle", "Terra", "green", "white", "matte", None, Label("leaf", "TERRA", WHITE, None)),
    Design("cushion", "Zigzag Cushion in pink and navy", "Kiva", "pink", "navy", "fabric", "zigzag"),
    Design("headphones", "Studio Headphones in black and orange", "Rova", "black", "orange", "satin"),
    Design("vase", "Ripple Vase in blue and white", "Fjel", "blue", "white", "glossy", "stripes"),
)
"""The first products of every demo catalog; further ones are drawn at random."""


def _designed(design: Design, rng: np.random.Generator) -> ProductSpec:
    genes = tuple(round(float(g), 4) for g in rng.uniform(0.15, 0.85, GENES))
    return ProductSpec(design.noun, design.colour, design.accent, design.finish, design.pattern, design.label, genes)


def demo_products(skus: int = SKUS, seed: int = SEED) -> list[tuple[str, ProductSpec, str, str]]:
    """The catalog's products as (sku, spec, title, brand)."""
    found = []
    for i in range(skus):
        rng = np.random.default_rng([seed, i, 0xCA7])
        if i < len(DESIGNS):
            design = DESIGNS[i]
            spec, title, brand = _designed(design, rng), design.title, design.brand
        else:
            spec = random_product(rng)
            brand = spec.label.text.title() if spec.label and spec.label.text else "Pico"
            title = f"{brand} {spec.class_noun.title()} in {spec.colour}"
        found.append((f"DEMO-{spec.class_noun.upper().replace(' ', '')}-{i + 1:03d}", spec, title, brand))
    return found


def photograph_product(folder: Path, sku: str, spec: ProductSpec, seed: int, photos: int) -> None:
    """Write a product's photographs and masks below `folder`."""
    parts = build(spec)
    for name in ("photos", "masks"):
        (folder / name / sku).mkdir(parents=True, exist_ok=True)
    for i in range(photos):
        rng = np.random.default_rng([seed, i, 0xF070])
        pose = Pose(YAWS[i] + float(rng.uniform(-0.08, 0.08)), PITCHES[i], float(rng.uniform(0.66, 0.76)))
        shot = shoot(spec, SCENES[BACKDROPS[i]], seed * 31 + i, SIZE, parts, pose, "studio lighting")
        photo = folder / "photos" / sku / f"{i:02d}.jpg"
        Image.fromarray(shot.photograph.image).save(photo, quality=95, subsampling="4:4:4", optimize=True)
        mask = (shot.photograph.mask * 255 + 0.5).astype(np.uint8)
        Image.fromarray(mask).save(folder / "masks" / sku / f"{i:02d}.png", optimize=True)


def _row(index: int, sku: str, spec: ProductSpec, title: str, brand: str, photos: int) -> dict[str, Any]:
    attributes = {"colour": spec.colour, "hex": hex_of(spec.colour), "material": spec.finish, "accent": spec.accent}
    if spec.pattern:
        attributes["pattern"] = spec.pattern
    if spec.label:
        attributes["mark"] = spec.label.mark
    return {
        "sku": sku,
        "title": title,
        "class_noun": spec.class_noun,
        "references": [f"photos/{sku}/{i:02d}.jpg" for i in range(photos)],
        "masks": [f"masks/{sku}/{i:02d}.png" for i in range(photos)],
        "attributes": list(attributes.items()),
        "category": classes()[spec.class_noun].category,
        "brand": brand,
        "locale": "en",
        "updated_at": FIRST_DAY + timedelta(days=index),
    }


@contextmanager
def _one_thread() -> Iterator[None]:
    """The camera's tensors are small: torch's own threads mostly wait for each other, for 25 times the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def photos_of(index: int) -> int:
    """How many photographs the product has: three to five."""
    return 3 + index % 3


def photograph(folder: Path, skus: int, seed: int, first: int = 0) -> None:
    """Write the photographs and masks of the catalog's products, from the `first` on, below `folder`."""
    with _one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        taken = [
            pool.submit(photograph_product, folder, sku, spec, seed + i, photos_of(i))
            for i, (sku, spec, *_) in enumerate(demo_products(skus, seed))
            if i >= first
        ]
        for one in taken:
            one.result()


def write_demo_catalog(folder: str | Path, skus: int = SKUS, seed: int = SEED) -> Path:
    """Write the demo catalog and its photographs into `folder` and return the path of its `catalog.parquet`.

    Does nothing where the same studio has already made the same catalog there.
    """
    folder = Path(folder)
    made_by = {"studio": VERSION, "skus": skus, "seed": seed, "size": SIZE}
    stamp, path = folder / ".studio.json", folder / "catalog.parquet"
    if path.exists() and stamp.exists() and json.loads(stamp.read_text()) == made_by:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    products = demo_products(skus, seed)
    carried = min(skus, SKUS) if seed == SEED else 0
    for sku, *_ in products[:carried]:
        for kind in ("photos", "masks"):
            shutil.copytree(CARRIED / kind / sku, folder / kind / sku, dirs_exist_ok=True)
    photograph(folder, skus, seed, first=carried)
    rows = [_row(i, sku, spec, title, brand, photos_of(i)) for i, (sku, spec, title, brand) in enumerate(products)]
    rough = path.with_suffix(".part")
    table = pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA)
    pq.write_table(table, rough, use_compliant_nested_type=False)  # or the lists' items would be renamed
    rough.replace(path)
    stamp.write_text(json.dumps(made_by))
    return path


if __name__ == "__main__":
    what = f"Deletes what is in {CARRIED}, and photographs it again: minutes."
    argparse.ArgumentParser(prog="python -m infra.demo.catalog", description=what).parse_args()
    shutil.rmtree(CARRIED, ignore_errors=True)
    photograph(CARRIED, SKUS, SEED)
