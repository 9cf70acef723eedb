"""A shop's files, written for the tests, and the way through an import and back."""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from catalog_schemas.errors import CatalogError
from catalog_schemas.product import Product
from catalog_schemas.rejection import Rejection
from tasks.import_catalog import Imported, import_catalog
from tasks.read_catalog import RowReader, catalog_batches

SHOPIFY = [
    "Handle",
    "Title",
    "Body (HTML)",
    "Vendor",
    "Product Category",
    "Type",
    "Tags",
    "Published",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Variant SKU",
    "Variant Price",
    "Image Src",
    "Image Position",
    "Image Alt Text",
    "Gift Card",
    "Variant Image",
    "Status",
]
SHOPIFY_2024 = [
    "Title",
    "URL handle",
    "Description",
    "Vendor",
    "Product category",
    "Type",
    "Tags",
    "Option1 name",
    "Option1 value",
    "SKU",
    "Price",
    "Product image URL",
    "Image position",
    "Image alt text",
    "Variant image URL",
    "Status",
]


def table(columns: Sequence[str], *rows: dict[str, str], delimiter: str = ",") -> str:
    """The text of a CSV; a row names the cells that it fills."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        assert set(row) <= set(columns), set(row) - set(columns)
        writer.writerow([row.get(column, "") for column in columns])
    return buffer.getvalue()


def feed(*items: str, root: str = "rss") -> str:
    """An RSS or Atom feed of items, each the XML of its fields."""
    if root == "rss":
        inner = "".join(f"<item>{item}</item>\n" for item in items)
        return f'<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>\n{inner}</channel></rss>'
    inner = "".join(f"<entry>{item}</entry>\n" for item in items)
    return f'<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">\n{inner}</feed>'


def fields(**values: str) -> str:
    """Google's fields as XML; the values are XML themselves."""
    return "".join(f"<g:{name}>{value}</g:{name}>" for name, value in values.items())


class Shop:
    """A folder with a shop's file, and the catalog made of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = folder / "out" / "catalog.parquet"

    def imports(self, kind: str, content: str | bytes, nouns: str = "", encoding: str = "") -> Imported:
        file = self.folder / f"file.{kind}"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        if nouns:
            (self.folder / "nouns.yaml").write_text(nouns, encoding="utf-8")
        own = str(self.folder / "nouns.yaml") if nouns else ""
        return import_catalog(kind, str(file), str(self.catalog), own, encoding)

    def read(self) -> tuple[dict[str, Product], list[Rejection]]:
        """What a run reads of the catalog."""
        reader = RowReader("run", datetime(2026, 1, 1, tzinfo=UTC))
        products: list[Product] = []
        rejections: list[Rejection] = []
        for batch in catalog_batches(str(self.catalog)):
            rows = batch.to_pylist()
            for row in rows:
                row["attributes"] = dict(row["attributes"] or ())
            verdicts = reader.read(rows, list(range(len(rows))))
            products += verdicts.products
            rejections += verdicts.rejections
        return {product.sku: product for product in products}, rejections

    def products(self, kind: str, content: str | bytes, nouns: str = "") -> dict[str, Product]:
        """The products that a run gets of a file; none may be refused."""
        self.imports(kind, content, nouns)
        products, rejections = self.read()
        assert not rejections, rejections
        return products


ROW = {"id": "1", "title": "Stoneware mug", "image_link": "https://cdn.example.com/a.jpg", "product_type": "Mugs"}
SAMPLES = {
    "csv": table(
        ["sku", "title", "category", "photos"], *({"sku": str(n), "title": "A", "photos": "a"} for n in range(5))
    ),
    "jsonl": "\n".join(json.dumps({"sku": str(n), "title": "A", "category": "Mugs", "photos": "a"}) for n in range(5)),
    "google": feed(*(fields(**ROW | {"id": str(n)}) for n in range(5))),
    "shopify": table(
        SHOPIFY,
        *(
            {"Handle": "tee", "Title": "Tee", "Option1 Name": "Color", "Option1 Value": colour, "Image Src": colour}
            | {"Variant Image": colour, "Body (HTML)": "<p>Soft</p>", "Type": "T-Shirts"}
            for colour in ("red", "blue")
        ),
    ),
}


def imported(kind: str, content: bytes) -> None:
    """Imports in a folder of its own: a catalog that a run can read, or a CatalogError, and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        try:
            report = shop.imports(kind, content)
        except CatalogError:
            assert not shop.catalog.exists()
            return
        products, rejections = shop.read()
        assert len(products) + len(rejections) == report.products
        assert sum(report.refused.values()) == len(rejections)
