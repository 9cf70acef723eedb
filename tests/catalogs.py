"""A small catalog for tests: a few products, each photographed some times, drawn with Pillow from seeds."""

import random
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFilter

from catalog_schemas.product import CATALOG_SCHEMA

SIDE = 256


@dataclass(frozen=True)
class Sample:
    """A product to draw: what the catalog says of it, and its colour."""

    sku: str
    title: str
    class_noun: str
    category: str
    colour: str


SAMPLES = (
    Sample("MUG-01", "Enamel mug, red", "mug", "Home > Kitchen > Mugs", "#b8332a"),
    Sample("VASE-02", "Stoneware vase, blue", "vase", "Home > Decoration > Vases", "#2f5d8a"),
    Sample("CLOCK-03", "Desk clock, green", "clock", "Home > Office > Clocks", "#3c7a4e"),
)


def write_catalog(folder: Path, samples: tuple[Sample, ...] = SAMPLES, photos: int = 3) -> Path:
    """Writes `folder/catalog.parquet` and the products' photos beside it; returns the catalog's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in samples:
        (folder / "photos" / sample.sku).mkdir(parents=True, exist_ok=True)
        for number in range(photos):
            draw_photo(sample, number).save(folder / "photos" / sample.sku / f"{number}.jpg", quality=92)
    rows = [
        {
            "sku": sample.sku,
            "title": sample.title,
            "class_noun": sample.class_noun,
            "references": [f"photos/{sample.sku}/{number}.jpg" for number in range(photos)],
            "category": sample.category,
        }
        for sample in samples
    ]
    path = folder / "catalog.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA), path)
    return path


def draw_photo(sample: Sample, number: int) -> Image.Image:
    """The product on a pale ground with its shadow, 256 x 256, a little elsewhere in every photo."""
    chance = random.Random(f"{sample.sku} {number}")
    photo = Image.new("RGB", (SIDE, SIDE), (238 + chance.randrange(8),) * 3)
    left, top = 70 + chance.randrange(-12, 12), 62 + chance.randrange(-8, 8)
    shadow = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(shadow).ellipse((left - 10, top + 122, left + 126, top + 146), fill=90)
    photo.paste((120, 118, 116), mask=shadow.filter(ImageFilter.GaussianBlur(6)))
    shape = Image.new("L", (SIDE * 2, SIDE * 2), 0)
    _outline(ImageDraw.Draw(shape), sample.class_noun, left * 2, top * 2)
    photo.paste(_shaded(sample.colour, left), mask=shape.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    if sample.class_noun == "clock":
        draw = ImageDraw.Draw(photo)
        draw.ellipse((left + 16, top + 26, left + 98, top + 108), fill="#f7f4ea", outline="#222222", width=2)
        draw.line((left + 57, top + 67, left + 57, top + 38), fill="#222222", width=4)
        draw.line((left + 57, top + 67, left + 78, top + 76), fill="#222222", width=4)
    return photo


def _outline(draw: ImageDraw.ImageDraw, kind: str, left: int, top: int) -> None:
    if kind == "mug":
        draw.ellipse((left + 160, top + 70, left + 270, top + 200), outline=255, width=28)
        draw.rounded_rectangle((left, top + 20, left + 200, top + 270), 24, fill=255)
    elif kind == "vase":
        draw.ellipse((left, top + 90, left + 220, top + 272), fill=255)
        draw.polygon(
            [(left + 76, top), (left + 146, top), (left + 160, top + 120), (left + 62, top + 120)],
            fill=255,
        )
    else:
        draw.ellipse((left, top + 20, left + 228, top + 248), fill=255)
        draw.rounded_rectangle((left + 40, top + 230, left + 190, top + 272), 14, fill=255)


def _shaded(colour: str, left: int) -> Image.Image:
    """The colour, lit from the left."""
    light = Image.linear_gradient("L").rotate(90).resize((SIDE, SIDE))
    flat, dark = Image.new("RGB", (SIDE, SIDE), colour), Image.new("RGB", (SIDE, SIDE), "#101010")
    return Image.composite(dark, flat, light.point(lambda value: max(0, value - 255 + left * 2)))
