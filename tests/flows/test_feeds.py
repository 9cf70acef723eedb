"""A shop's file, by way of images, back to the shop: feeds name products as the shop does."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.commands.command_line import main
from flows.refresh_catalog import refresh_catalog
from tests.drawn_products import draw_photo
from tests.flows.shop import Shop
from tests.importers.shop import SHOPIFY, table
from tests.servers.web import WebServer, web_server

BASE = "https://images.example/store"


@pytest.fixture
def site() -> Iterator[WebServer]:
    with web_server() as site:
        yield site


def _photo(site: WebServer, name: str, product: int) -> str:
    draw_photo(product)[0].save(file := io.BytesIO(), "PNG")
    return site.photo(f"/files/{name}", file.getvalue(), ETag=f'"{name}"')


def _there_and_back(shop: Shop, site: WebServer, kind: str, text: str, delimiter: str = ",") -> list[dict[str, str]]:
    """Imports the file, runs, and exports the feed of the same kind."""
    web = {"allow_private_addresses": True}
    shop.changes = {
        "variants": {"techniques": ["packshot"], "colours": ["original"]},
        "catalog": {"reference_prefixes": [f"{site.endpoint}/"], "web": web},
    }
    parameters = shop.parameters()
    file, out = shop.folder / f"shop.{kind}", shop.folder / f"feed.{kind}"
    file.write_text(text)
    assert main(["import", kind, str(file), "--out", parameters.catalog]) == 0
    assert not refresh_catalog(parameters).record.skus_quarantined
    assert main(["export", kind, "--store", shop.store, "--out", str(out), "--base-url", BASE]) == 0
    return list(csv.DictReader(io.StringIO(out.read_text(), newline=""), delimiter=delimiter))


def test_the_colours_of_a_shopify_product_return_to_its_handle_under_its_title(shop: Shop, site: WebServer) -> None:
    tee = {"Handle": "plain_tee", "Title": "Plain Tee, soft", "Type": "T-Shirts", "Option1 Name": "Color"}

    def colour(name: str, product: int) -> dict[str, str]:
        url = _photo(site, f"{name.lower()}.png", product)
        return {"Handle": "plain_tee", "Option1 Value": name, "Variant Image": url, "Image Src": url}

    mug = {"Handle": "mug-ü", "Title": "=Mug", "Type": "Mugs", "Image Src": _photo(site, "mug.png", 3)}
    rows = _there_and_back(
        shop, site, "shopify", table(SHOPIFY, tee | colour("Red", 1), colour("Blue", 2), mug | {"Image Position": "1"})
    )
    assert {row["sku"] for row in shop.live()} == {"plain_tee.red", "plain_tee.blue", "mug-ü"}
    assert [(row["Handle"], row["Title"], row["Image Position"]) for row in rows] == [
        ("mug-ü", "'=Mug", "1"),
        ("plain_tee", "Plain Tee, soft", "1"),
        ("plain_tee", "", "2"),
    ]
    assert {row["Image Alt Text"] for row in rows[1:]} == {"Plain Tee, soft, Blue", "Plain Tee, soft, Red"}
    assert all(row["Image Src"].startswith(f"{BASE}/images/") for row in rows)


def test_every_size_of_a_google_item_gets_the_images_of_its_product(shop: Shop, site: WebServer) -> None:
    shoe, mug = _photo(site, "shoe.png", 1), _photo(site, "mug.png", 2)
    item = {"title": "Runner", "image link": shoe, "color": "red", "item_group_id": "RUN", "product_type": "Sneakers"}
    columns = ["id", "title", "image link", "color", "size", "item_group_id", "product_type"]
    text = table(
        columns,
        item | {"id": "RUN-1", "size": "38"},
        item | {"id": "RUN, 2", "size": "39"},
        {"id": "MUG", "title": "Mug", "image link": mug, "product_type": "Mugs"},
        delimiter="\t",
    )
    rows = _there_and_back(shop, site, "google", text, "\t")
    assert [row["id"] for row in rows] == ["MUG", "RUN-1", "RUN, 2"]
    assert rows[1]["image_link"] == rows[2]["image_link"] != rows[0]["image_link"]


def test_a_product_that_changes_its_handle_is_found_under_the_new_one(shop: Shop, tmp_path: Path) -> None:
    shop.changes = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}
    shop.add("a b/C", 0)
    shop.add("other", 1, attributes={"handle": "old"})
    shop.run()
    shop.rows[1]["attributes"] = {"handle": "new"}
    assert shop.run().record.images_planned == 0
    out = tmp_path / "feed.csv"
    assert main(["export", "shopify", "--store", shop.store, "--out", str(out), "--base-url", BASE]) == 0
    assert [row["Handle"] for row in csv.DictReader(io.StringIO(out.read_text()))] == ["a-b-c", "new"]
