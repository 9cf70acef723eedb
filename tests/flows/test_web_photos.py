"""Nights over photos on the web: what has not changed is not fetched, and a server's bad night costs nothing."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from catalog_schemas.rejection import Reason
from tests.drawn_products import draw_photo, product_row
from tests.flows.shop import Shop, assert_sound
from tests.servers.web import WebServer, web_server

QUICK = {"variants": {"techniques": ["packshot"], "colours": ["original"]}}
pytestmark = pytest.mark.usefixtures("asked_again_soon")


@pytest.fixture(scope="module")
def running() -> Iterator[WebServer]:
    with web_server() as site:
        yield site


@pytest.fixture
def site(running: WebServer, night: Shop) -> Iterator[WebServer]:
    """The server as that night has left it."""
    pages = dict(running.pages)
    yield running
    running.pages.clear()
    running.pages.update(pages)
    running.failing.clear()
    running.down = False


def hang(site: WebServer, sku: str, view: int, by: int, version: str = "1", validator: str = "ETag") -> str:
    draw_photo(by, view)[0].save(file := io.BytesIO(), "PNG")
    return site.photo(f"/{sku}/{view}.png", file.getvalue(), **({validator: f'"{version}"'} if validator else {}))


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str, running: WebServer) -> Shop:
    """Two products with two photos each on the web, one whose server names no versions, and one at home; run once,
    never touched again."""
    web = {"allow_private_addresses": True}
    shop = Shop(tmp_path_factory.mktemp("night"), model)
    shop.changes = QUICK | {"catalog": {"reference_prefixes": [f"{running.endpoint}/"], "web": web}}
    for product, sku in enumerate(("mug", "vase")):
        shop.rows.append(product_row(sku, [hang(running, sku, view, product) for view in range(2)]))
    shop.rows.append(product_row("plain", [hang(running, "plain", view, 2, validator="") for view in range(2)]))
    shop.add("home", 3)
    run = shop.run().record
    assert (run.skus_published, run.images_published) == (4, 4)
    assert not shop.keys("cache/photos"), "what was fetched has served"
    return shop


@pytest.fixture
def web_shop(night: Shop, site: WebServer, tmp_path: Path) -> Shop:
    """The same catalog, by whose place a store knows its photos, with a store of its own."""
    site.asked.clear()
    store = shutil.copytree(night.store, tmp_path / "store")
    return replace(night, store=str(store), rows=[dict(row) for row in night.rows], changes=dict(night.changes))


def test_a_night_asks_for_versions_and_fetches_nothing(web_shop: Shop, site: WebServer) -> None:
    run = web_shop.run().record
    assert (run.skus_skipped, run.images_planned) == (4, 0)
    assert not [path for method, path in site.asked if method == "GET" and "plain" not in path]
    assert site.asked["HEAD", "/mug/0.png"] == 1


def test_a_new_version_makes_its_product_anew_and_the_same_bytes_make_nothing(web_shop: Shop, site: WebServer) -> None:
    hang(site, "mug", 0, 6, version="2")
    hang(site, "vase", 0, 1, version="2")
    hang(site, "plain", 0, 5, validator="")
    run = web_shop.run().record
    assert (run.skus_published, run.skus_skipped) == (2, 2)
    assert {row["sku"] for row in web_shop.table("images") if row["retired_at"]} == {"mug", "plain"}
    assert not web_shop.plan().jobs
    assert_sound(web_shop)


def test_another_setting_makes_new_images_without_fetching_again(web_shop: Shop, site: WebServer) -> None:
    web_shop.changes["variants"] = {"techniques": ["packshot"]}
    run = web_shop.run().record
    assert run.skus_published == 4
    assert not [path for method, path in site.asked if method == "GET" and "plain" not in path]


def test_a_server_that_is_down_for_a_night_retires_and_quarantines_nothing(web_shop: Shop, site: WebServer) -> None:
    live = {row["image_id"] for row in web_shop.live()}
    site.down = True
    web_shop.rows[0]["attributes"] = {"material": "clay"}  # a row to look at, and nothing to make
    web_shop.rows.append(product_row("new", [f"{site.endpoint}/new/0.png"]))
    web_shop.add("new at home", 4)
    run = web_shop.run().record
    assert (run.skus_published, run.skus_quarantined, run.skus_skipped) == (1, 1, 4)
    assert live < {row["image_id"] for row in web_shop.live()}
    assert ("new", Reason.SKU_NO_USABLE_REFERENCES) in web_shop.reasons()
    assert_sound(web_shop)

    site.down = False
    hang(site, "new", 0, 5)
    assert web_shop.run().record.skus_published == 1
    assert {row["sku"] for row in web_shop.live()} == {"mug", "vase", "plain", "home", "new", "new at home"}
    assert not web_shop.plan().jobs


def test_a_photo_that_fails_leaves_its_product_as_it_is_until_it_can_be_had(web_shop: Shop, site: WebServer) -> None:
    live = {row["image_id"] for row in web_shop.live()}
    hang(site, "mug", 0, 6, version="2")
    site.failing["/mug/0.png"] = 1000
    site.pages["/vase/0.png"] = (404, {}, b"")
    run = web_shop.run().record
    assert (run.skus_published, run.skus_quarantined, run.skus_skipped) == (1, 0, 3), "the vase has another photo"
    assert {row["image_id"] for row in web_shop.live() if row["sku"] == "mug"} <= live
    site.failing.clear()
    run = web_shop.run().record
    assert (run.skus_published, run.skus_skipped) == (1, 3)
    assert {row["image_id"] for row in web_shop.live() if row["sku"] == "mug"}.isdisjoint(live)


def test_a_new_photo_that_cannot_be_had_yet_leaves_its_product_and_its_images_as_they_are(
    web_shop: Shop, site: WebServer
) -> None:
    live = {row["image_id"] for row in web_shop.live()}
    web_shop.rows[0]["references"] = [web_shop.rows[0]["references"][0], hang(site, "mug", 2, 0)]
    site.failing["/mug/2.png"] = 1000
    for _ in range(2):
        run = web_shop.run().record
        assert (run.skus_skipped, run.images_skipped, run.images_planned) == (4, 4, 0)
    assert {row["image_id"] for row in web_shop.live()} == live
    site.failing.clear()
    assert web_shop.run().record.skus_published == 1
    assert not web_shop.plan().jobs
