"""Catalogs of drawn products: small photos, each product unlike the next, and the Parquet file that lists them."""

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from catalog_schemas.product import CATALOG_SCHEMA

SIDE = 96
NOUNS = ("mug", "vase", "lamp", "bottle", "bowl", "clock", "basket", "candle")
_COLOURS = ((178, 44, 52), (36, 92, 160), (52, 130, 70), (200, 140, 30), (110, 60, 140), (30, 140, 140), (90, 70, 50))


def draw_photo(product: int, view: int = 0, side: int = SIDE) -> tuple[Image.Image, Image.Image]:
    """A product's photo and its exact mask; every (product, view) gives other pixels, and always the same ones."""
    chance = np.random.default_rng([product, view])
    left, top = chance.uniform(0.18, 0.26), chance.uniform(0.14, 0.24)
    width, height = 0.36 + 0.04 * (product % 4), 0.44 + 0.03 * (product % 5)
    box = [int(side * part) for part in (left, top, left + width, top + height)]
    mask = Image.new("L", (side, side))
    shape = ("rounded_rectangle", "ellipse", "rectangle")[product % 3]
    getattr(ImageDraw.Draw(mask), shape)(box, **({"radius": side // 10} if "rounded" in shape else {}), fill=255)
    colour = _COLOURS[product % len(_COLOURS)]
    photo = Image.new("RGB", (side, side), (214, 216, 220))
    pen = ImageDraw.Draw(photo)
    pen.rectangle([0, int(side * 0.8), side, side], fill=(188, 186, 182))
    photo.paste(Image.new("RGB", (side, side), colour), mask=mask)
    stripe = box[1] + (box[3] - box[1]) * (1 + product % 3) // 4
    pen.rectangle([box[0] + side // 8, stripe, box[2] - side // 8, stripe + side // 12], fill=(240, 238, 230))
    grain = chance.normal(0, 3, (side, side, 3))
    return Image.fromarray(np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8)), mask


@cache
def photo_files(product: int, view: int = 0, side: int = SIDE, alpha: bool = False) -> tuple[bytes, bytes]:
    """The PNG files of a photo and its mask; with `alpha` the photo itself says what is transparent."""
    photo, mask = draw_photo(product, view, side)
    if alpha:
        photo.putalpha(mask)
    return _png(photo), _png(mask)


def _png(image: Image.Image) -> bytes:
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def write_photos(
    folder: Path, product: int, count: int = 3, masks: bool = True, side: int = SIDE, alpha: bool = False
) -> dict[str, list[str]]:
    """Writes a product's photos below `folder`; returns `references` and `masks`, relative to its parent."""
    folder.mkdir(parents=True, exist_ok=True)
    named: dict[str, list[str]] = {"references": [], "masks": []}
    for view in range(count):
        photo, mask = photo_files(product, view, side, alpha)
        (folder / f"{view}.png").write_bytes(photo)
        named["references"].append(f"{folder.name}/{view}.png")
        if masks:
            (folder / f"{view}-mask.png").write_bytes(mask)
            named["masks"].append(f"{folder.name}/{view}-mask.png")
    return named


def product_row(sku: str, references: Iterable[str], **fields: Any) -> dict[str, Any]:
    """A row of a catalog, with everything required."""
    plain: dict[str, Any] = {
        "sku": sku,
        "title": f"The {sku}",
        "class_noun": "mug",
        "references": list(references),
        "masks": [],
        "attributes": {"material": "clay"},
        "category": "Home > Kitchen",
        "brand": "Plain",
        "locale": "en",
        "updated_at": None,
    }
    return plain | fields


def write_catalog(file: Path, rows: Iterable[dict[str, Any]]) -> Path:
    """Writes the Parquet file; a row may lack what the schema demands, since real ones do."""
    lax = pa.schema([field.with_nullable(True) for field in CATALOG_SCHEMA], metadata=CATALOG_SCHEMA.metadata)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), schema=lax), file)
    return file
