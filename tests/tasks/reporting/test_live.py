"""Galleries of what is live, without a run: which images they hold, what they leave out, and where their links lead."""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

import pyarrow as pa
import pytest

from catalog_schemas.errors import ConfigError, StoreError
from catalog_schemas.review import Review, Verdict
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from catalog_schemas.variant import VariantSpec
from flows.commands.command_line import main
from tasks.publishing.json_columns import SPEC
from tasks.reporting.live import LIVE, Asked, Live, write_gallery
from tasks.reporting.shop import PRODUCTS_A_PAGE, Query, Shop
from tasks.storage.keys import safe_name
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import TABLES, rows_of
from tasks.storage.tables import Tables

NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
PRODUCTS = {
    "mug 1": ("Red mug", "Home > Kitchen > Mugs"),
    "mug-2": ("Blue mug", "Home > Kitchen > Mugs"),
    "tée": ("Täß İΣ tee", "Clothes"),
}
SLOTS = {"web": 2, "etsy": 1}  # images of each product for each channel


def image(sku: str, title: str, channel: str, seed: int) -> dict[str, object]:
    """A row of `tables/images`, as far as a gallery reads it."""
    name = f"{sku}-{channel}-{seed}"
    spec = VariantSpec(
        sku,
        "beach",
        "red",
        "scene",
        "composite",
        seed,
        *[""] * 2,
        "#aa0000",
        *[""] * 3,
        ("photo",),
        1,
        1.0,
        "",
        8,
        8,
        0.8,
        1,
    )
    texts = {
        "scene": "beach",
        "colour": "red",
        "background": "scene",
        "technique": "composite",
        "prompt": "",
        "alt_text": title,
    }
    key = f"images/{safe_name(sku)}/{channel}/beach_red_scene_composite_{seed}-0123456789ab.webp"
    about = {
        "image_id": name,
        "variant_id": f"variant {name}",
        "slot": f"{sku}/{channel}/{seed}",
        "sku": sku,
        "title": title,
    }
    return {
        **texts,
        **about,
        "channel": channel,
        "seed": seed,
        "key": key,
        "checks": "[]",
        "spec": SPEC.dump_json(spec).decode(),
    }


def publish(store: ObjectStore, rows: list[dict[str, object]], run_id: str = "one") -> None:
    schema = TABLES["images"].schema
    whole = [{name: row.get(name) for name in schema.names} for row in rows]
    Tables(store).merge("images", pa.Table.from_pylist(whole, schema=schema), run_id, ("retired_at",))


@pytest.fixture
def rows() -> list[dict[str, object]]:
    return [
        image(sku, title, channel, seed)
        for sku, (title, _) in PRODUCTS.items()
        for channel, number in SLOTS.items()
        for seed in range(number)
    ]


@pytest.fixture
def store(tmp_path: Path, rows: list[dict[str, object]]) -> ObjectStore:
    """Three products with three live images each and their photo; one image of `mug-2` is approved, another retired."""
    made = ObjectStore(str(tmp_path / "my #1 store"))
    publish(made, [*rows, image("mug-2", "Blue mug", "web", 9) | {"retired_at": NOW}])
    for row in rows:
        made.write(str(row["key"]), b"pixels")
    made.write("cache/references/photo.png", b"pixels")
    skus = [
        SkuRecord(sku, "shop", "f", "published", 3, "one", NOW, category=category)
        for sku, (_, category) in PRODUCTS.items()
    ]
    Tables(made).merge("skus", rows_of("skus", skus), "one")
    say(made, next(row for row in rows if row["sku"] == "mug-2"), Verdict.APPROVED)
    return made


def say(store: ObjectStore, row: dict[str, object], verdict: Verdict, run_id: str = "said", note: str = "") -> None:
    about = [str(row[name]) for name in ("sku", "slot", "variant_id", "image_id")]
    Tables(store).merge("reviews", rows_of("reviews", [Review(*about, verdict, note, run_id, NOW)]), run_id)


def pictures(html: str, page: Path) -> list[Path]:
    """The files that the page shows, as a browser finds them."""
    uris = (re.split("[?#]", uri)[0] for uri in re.findall(r'<img src="([^"]+)"', html))
    return [(page.parent / unquote(uri)).resolve() for uri in uris]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(), {"mug 1": 3, "mug-2": 3, "tée": 3}),
        (Asked(skus=("tée", "mug 1")), {"mug 1": 3, "tée": 3}),
        (Asked(category="kitchen"), {"mug 1": 3, "mug-2": 3}),
        (Asked(words="MUGS blue"), {"mug-2": 3}),
        (Asked(words="TÄSS"), {}),
        (Asked(words="TÄß"), {"tée": 3}),
        (Asked(words="İΣ"), {"tée": 3}),
        (Asked(words="g-2"), {"mug-2": 3}),
        (Asked(channel="etsy"), {"mug 1": 1, "mug-2": 1, "tée": 1}),
        (Asked(verdict="approved"), {"mug-2": 1}),
        (Asked(verdict="unreviewed"), {"mug 1": 3, "mug-2": 2, "tée": 3}),
        (Asked(verdict="unreviewed", channel="web", words="blue"), {"mug-2": 1}),
        (Asked(category="[^a]"), {}),
    ],
)
def test_what_is_asked_for_is_found_and_shown_and_nothing_else(
    store: ObjectStore, asked: Asked, expected: dict[str, int]
) -> None:
    found = Live.of(Tables(store)).found(asked)
    assert dict(zip(found.skus, found.images, strict=True)) == expected
    page = Shop(store)  # the same by another way, where an address can say it
    if asked in (Asked(words=asked.words), Asked(words=asked.words, verdict=asked.verdict)):
        html = page.page(Query(asked.words, asked.verdict))
        assert len(re.findall('<figure class="tile"', html)) == sum(expected.values())


def test_what_people_have_rejected_is_shown_with_why_and_counted_apart(
    store: ObjectStore, rows: list[dict[str, object]]
) -> None:
    """A picture counts once, whatever it was called, and its last file is shown as long as there is one."""
    kept, lost = (image("mug 1", "Red mug", "web", seed) | {"retired_at": NOW} for seed in (7, 8))
    before = kept | {"image_id": "before", "title": "Mug", "key": str(kept["key"]).replace("0123", "9999")}
    for row, age in ((kept, 1), (lost, 1), (before, 2)):
        row["created_at"] = NOW - timedelta(days=age)
    publish(store, [before, kept, lost], "two")
    store.write(str(kept["key"]), b"pixels")
    store.write(str(before["key"]), b"pixels")
    say(store, kept, Verdict.REJECTED, "three", "the <handle> is cut")
    say(store, lost, Verdict.REJECTED, "four")
    found = Live.of(Tables(store)).found(Asked(verdict="rejected"))
    assert dict(zip(found.skus, found.images, strict=True)) == {"mug 1": 2}
    html = Shop(store).page(Query(verdict="rejected"))
    assert "<title>Rejected images</title>" in html
    assert re.findall('data-key="(images/[^"]+)"', html) == [kept["key"], lost["key"]]
    assert html.count("✗ rejected: <bdi>the &lt;handle&gt; is cut</bdi>") == 1
    assert html.count("no picture") == 1
    assert links(html)["Rejected: 2"] == "?show=rejected"
    assert links(html)["All: 9"] == "?"
    made = write_gallery(store, Asked(verdict="rejected", channel="web"), 200, None, "")
    assert (made.products, made.images) == (1, 2)


def test_a_page_in_the_store_finds_its_pictures_from_there(store: ObjectStore, rows: list[dict[str, object]]) -> None:
    made = write_gallery(store, Asked(), 200, None, "")
    page = Path(made.gallery)
    assert page == store.local_path(LIVE)
    shown = pictures(page.read_text(), page)
    assert len(shown) == 9 + 3
    assert all(path.is_file() for path in shown)
    assert (made.products, made.images, made.products_left_out) == (3, 9, 0)
    assert "9 images of 3 products: all that were asked for." in page.read_text()
    keys = re.findall('<figure class="tile" data-key="([^"]+)"', page.read_text())
    assert sorted(keys) == sorted(str(row["key"]) for row in rows), "by which they are approved and rejected"
    assert page.read_text().count(">✓ approved<") == 1


def test_a_page_elsewhere_finds_them_too_and_says_what_it_leaves_out(store: ObjectStore, tmp_path: Path) -> None:
    out = tmp_path / "pages of mine" / "mugs.html"
    made = write_gallery(store, Asked(category="Kitchen", verdict="unreviewed"), 1, out, "")
    assert (made.gallery, made.products, made.images) == (str(out), 1, 3)
    assert (made.products_left_out, made.images_left_out) == (1, 2)
    said = "3 images of 1 product. 2 images of 1 product are left out: name fewer, or raise --limit."
    assert made.scope == said
    assert said in out.read_text()
    shown = pictures(out.read_text(), out)
    assert len(shown) == 3 + 1
    assert all(path.is_file() for path in shown)
    assert store.local_path(LIVE).exists() is False
    write_gallery(store, Asked(), 200, out, "https://cdn.example/shop/")
    assert '<img src="https://cdn.example/shop/images/mug%25201/web/' in out.read_text()


def test_tiles_show_small_pictures_where_a_server_of_ours_makes_them_or_the_store_has_them(
    store: ObjectStore, tmp_path: Path
) -> None:
    def shown(root: str = "") -> list[str]:
        out = tmp_path / "page.html" if root else None
        page = Path(write_gallery(store, Asked(skus=("mug-2",)), 200, out, root).gallery).read_text()
        return re.findall(r'<a class="frame "? href="[^"]*"|<img src="([^"]+)"', page)

    photo, *images = filter(None, shown())
    assert photo == "../cache/references/photo.png", "as an older packshot left it"
    assert all(one.startswith("../images/") and one.endswith(".webp?small") for one in images)
    store.write("cache/references/photo-small.webp", b"pixels")
    photo, *_ = filter(None, shown())
    assert photo == "../cache/references/photo-small.webp"
    assert 'href="../cache/references/photo.png"' in store.read(LIVE).decode()
    _, *images = filter(None, shown("https://cdn.example/"))
    assert not any("?" in one for one in images), "an address may be signed"


def test_where_all_is_reviewed_the_page_is_empty(store: ObjectStore, rows: list[dict[str, object]]) -> None:
    for at, row in enumerate(rows):
        say(store, row, Verdict.APPROVED, f"said {at}")
    made = write_gallery(store, Asked(verdict="unreviewed"), 200, None, "")
    assert (made.products, made.images, made.scope) == (0, 0, "No image is as was asked for.")
    assert "No image is here." in Path(made.gallery).read_text()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            Asked(skus=("mug-1", "tée")),
            r"SKUs that have no live image in .*#1 store \(1\):\n  - mug-1 \(did you mean mug-2\?\)",
        ),
        (Asked(category="Cloths"), "--category: no category 'Cloths' .did you mean 'Clothes'"),
        (Asked(channel="wbe"), "--channel: no channel 'wbe' .did you mean 'web'.*; there are images of etsy, web"),
    ],
)
def test_what_nobody_knows_is_told_and_nothing_is_written(store: ObjectStore, asked: Asked, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_gallery(store, asked, 200, None, "")
    assert not store.exists(LIVE)


def test_a_store_that_has_not_written_categories_down_says_so(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    store = ObjectStore(str(tmp_path / "older"))
    with pytest.raises(StoreError, match="no image is live here"):
        write_gallery(store, Asked(), 200, None, "")
    publish(store, rows)
    with pytest.raises(ConfigError, match="no category of a product is known here yet"):
        write_gallery(store, Asked(category="mugs"), 200, None, "")
    seen = SkuRecord("tée", "shop", "f", "published", 3, "one", NOW, category="Clothes")
    Tables(store).merge("skus", rows_of("skus", [seen]), "one")
    made = write_gallery(store, Asked(category="clothes"), 200, None, "")
    assert made.scope == "3 images of 1 product: all that were asked for. No category is known of 2 products."


def test_a_page_that_cannot_be_written_and_pictures_that_no_browser_finds_are_told(
    store: ObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "g.html", tmp_path, Path(), Path("/")):
        with pytest.raises(StoreError, match=r"cannot be written: .*; choose another --out"):
            write_gallery(store, Asked(), 200, out, "")
    with pytest.raises(ConfigError, match=r"s3://bucket/shop: .*give --base-url"):
        write_gallery(ObjectStore("s3://bucket/shop"), Asked(), 200, tmp_path / "g.html", "")


def test_the_command_names_products_as_people_type_them_and_says_what_it_made(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write("runs/one/config.json", b"{}")
    out = str(tmp_path / "g.html")
    chosen = [
        "--sku",
        "mug 1",
        "mug-2",
        "--sku",
        unicodedata.normalize("NFD", "tée"),
        "--channel",
        "web",
        "--unreviewed",
    ]
    assert main(["gallery", "--store", store.url, *chosen, "--limit", "2", "--out", out, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    told = {"gallery": out, "products": 2, "images": 3, "products_left_out": 1, "images_left_out": 2}
    assert answer | told == answer
    assert answer["text"].endswith(f"are left out: name fewer, or raise --limit.\nGallery: {out}")
    with pytest.raises(SystemExit):
        main(["gallery", "--store", store.url, "--approved", "--unreviewed"])


def links(html: str) -> dict[str, str]:
    """The ways from a page to others, by their words."""
    found = re.findall(r'<a (?:class="chip" )?href="([^"]*)"[^>]*>([^<]+)</a>', html)
    return {words: href for href, words in found}


def test_the_front_page_leads_to_the_runs_the_newest_first(store: ObjectStore) -> None:
    shop, counts = Shop(store), dict.fromkeys(RunRecord.__dataclass_fields__, 0)
    for number in (1, 3, 2):
        at = NOW + timedelta(days=number)
        texts = {
            "run_id": f"run {number}",
            "catalog": "c",
            "config": "{}",
            "status": "completed",
            "started_at": at,
            "finished_at": at,
        }
        run = RunRecord(**counts | texts | {"images_published": number - 1, "skus_published": 1})
        Tables(store).merge("runs", rows_of("runs", [run]), f"r{number}")
    ways = links(shop.page(Query()))
    assert [(words, href) for words, href in ways.items() if href.startswith("runs/")] == [
        ("2 December 2026, 02:00: 2 images of 1 product", "runs/run%203/report/index.html"),
        ("1 December 2026, 02:00: 1 image of 1 product", "runs/run%202/report/index.html"),
        ("30 November 2026, 02:00: nothing new", "runs/run%201/report/index.html"),
    ]
    assert '<details class="runs" open>' in shop.page(Query())
    assert '<details class="runs">' in shop.page(Query(words="mug"))


def test_pages_lead_through_all_products_and_keep_what_was_asked_for(tmp_path: Path) -> None:
    store, many = ObjectStore(str(tmp_path / "store")), 2 * PRODUCTS_A_PAGE + 1
    publish(store, [image(f"mug-{number:03}", "A & B", "web", 0) for number in range(many)])
    shop, query, seen = Shop(store), Query.of({"q": "a &", "show": "unreviewed"}), []
    while True:
        html = shop.page(query)
        seen += re.findall('<article class="product" data-sku="([^"]+)"', html)
        ways = links(html)
        if "Next →" not in ways:
            break
        assert ways["Next →"] == f"?q=a+%26&amp;show=unreviewed&amp;page={query.page + 1}"
        query = Query(query.words, query.verdict, query.page + 1)
    assert seen == [f"mug-{number:03}" for number in range(many)]
    assert f"Products 41 to 41 of {many}, by SKU." in html
    assert ways["All: 41"] == "?q=a+%26"
    assert "Last" not in ways
    assert shop.page(Query.of({"page": "99999999"})).count("<article") == 1, "there is no page after the last"
    assert Query.of({"page": "-1", "show": "all"}) == Query.of({"page": "٣" * 99}) == Query()


def test_what_was_searched_for_is_text_as_catalogs_have_it(store: ObjectStore) -> None:
    assert Query.of({"q": unicodedata.normalize("NFD", "tée")}) == Query("tée")
    html = Shop(store).page(Query.of({"q": '"><script>alert(1)</script>'}))
    assert html.count("<script") == 1
    assert "No image is found." in html


def test_all_rows_are_read_again_only_where_a_table_has_changed(
    store: ObjectStore, rows: list[dict[str, object]]
) -> None:
    shop, read = Shop(store), list[Callable]()
    whole = Live.of
    with patch.object(Live, "of", side_effect=lambda tables: (read.append(tables), whole(tables))[1]):
        assert "Approved: 1<" in shop.page(Query())
        shop.page(Query("mug", "unreviewed"))
        assert len(read) == 1
        say(store, rows[0], Verdict.APPROVED, "later")
        assert "Approved: 2<" in shop.page(Query())
        publish(store, [row | {"retired_at": NOW} for row in rows[:1]], "later")
        assert "All: 8<" in shop.page(Query())
        assert len(read) == 3
