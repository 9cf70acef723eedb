"""How much drawn pictures look like a product: the product alone, without its surroundings, on both sides.

A photograph's product is cut out by its exact mask, a drawn one by `tasks/imaging/cut_out.py`; both are put on grey,
filling the picture alike, so that neither backdrop nor size counts.
"""

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from catalog_schemas.product import Product as Record
from configs.schema import CatalogConfig
from tasks.engine.crops import TrainingPhoto
from tasks.engine.similarity import Scorer
from tasks.imaging.cut_out import cut_out
from tasks.imaging.pixels import box_of, scale_rgb
from tasks.storage.sources import Sources
from tests.measures import colour_difference

Rgb = NDArray[np.uint8]
SIDE, GREY, MARGIN = 128, 119, 1.1


@dataclass(frozen=True)
class Product:
    """A SKU of a catalog with its photographs, and their products' image features (photos, width)."""

    sku: str
    noun: str
    words: str
    photos: tuple[TrainingPhoto, ...]
    features: NDArray[np.float32]


@dataclass(frozen=True)
class Likeness:
    """Means over pictures, each against all photographs of its SKU.

    `cosine` of the image features, `colour` the CIEDE2000 of the main colours, and `named` the share of pictures that
    are nearer to their own SKU than to any other of the catalog.
    """

    cosine: float
    colour: float
    named: float


def read_products(catalog: Path, count: int, scorer: Scorer, colours: tuple[str, ...] = ("colour",)) -> list[Product]:
    """The first SKUs of a catalog of local photographs; where it has no masks, products are cut out as drawn ones are.

    `colours` names the attributes that may hold a product's colour.
    """
    products, sources = [], Sources(str(catalog), CatalogConfig())
    for row in pq.read_table(catalog).to_pylist()[:count]:
        files = sources.expand(row["references"])
        masks = [sources.resolve(mask) for mask in row["masks"] or ()] or [""] * len(files)
        photos = tuple(_photo(*pair) for pair in zip(files, masks, strict=True))
        features = scorer.images([alone(photo.rgb, photo.mask) for photo in photos])
        sku, noun, attributes = row["sku"], row["class_noun"], dict(row["attributes"] or ())
        colour = Record(sku, "", noun, (), attributes=attributes).in_words(colours)
        products.append(Product(sku, noun, f"{colour} {noun}".strip(), photos, features))
    return products


def alone(rgb: Rgb, mask: NDArray[np.float32]) -> Rgb:
    """The product on grey, square; all of the picture where the mask is empty."""
    if (mask >= 0.5).sum() < 16:
        mask = np.ones_like(mask)
    box = box_of(mask)
    height, width = mask[box].shape
    side = round(max(height, width) * MARGIN)
    top, left = (side - height) // 2, (side - width) // 2
    canvas = np.full((side, side, 3), GREY, np.float32)
    cover = mask[box][..., None]
    canvas[top : top + height, left : left + width] = cover * rgb[box] + (1 - cover) * GREY
    return scale_rgb(np.rint(canvas).astype(np.uint8), SIDE, SIDE)


def likeness(scorer: Scorer, products: list[Product], drawn: list[list[Rgb]]) -> list[Likeness]:
    """Of each product's pictures, in the products' order."""
    found = []
    for product, pictures in zip(products, drawn, strict=True):
        masks = [cut_out(picture) for picture in pictures]
        features = scorer.images([alone(*pair) for pair in zip(pictures, masks, strict=True)])
        cosines = np.stack([(features @ other.features.T).mean(1) for other in products], 1)
        own = [other is product for other in products].index(True)
        colours = [
            colour_difference(photo.rgb, photo.mask, picture, mask)
            for picture, mask in zip(pictures, masks, strict=True)
            for photo in product.photos
        ]
        named = float((cosines.argmax(1) == own).mean())
        found.append(Likeness(float(cosines[:, own].mean()), float(np.mean(colours)), named))
    return found


def ceiling(scorer: Scorer, product: Product, as_drawn: bool = False) -> Likeness:
    """Of each photograph against the product's others; `as_drawn` cuts it out as a drawn one is.

    A cut-out loses what is as light as its backdrop, in a photograph as in a drawn picture.
    """
    photos = [(photo.rgb, photo.mask) for photo in product.photos]
    pictures, features = photos, product.features
    if as_drawn:
        pictures = [(rgb, cut_out(rgb)) for rgb, _ in photos]
        features = scorer.images([alone(*picture) for picture in pictures])
    cosines, pairs = features @ product.features.T, list(permutations(range(len(photos)), 2))
    colours = [colour_difference(*photos[other], *pictures[one]) for one, other in pairs]
    return Likeness(float(np.mean([cosines[pair] for pair in pairs])), float(np.mean(colours)), 1.0)


def _photo(file: str, mask: str) -> TrainingPhoto:
    rgb = np.array(Image.open(file).convert("RGB"))
    if not mask:
        return TrainingPhoto(rgb, cut_out(rgb))
    return TrainingPhoto(rgb, np.array(Image.open(mask).convert("L")).astype(np.float32) / 255)
