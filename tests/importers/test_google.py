import tracemalloc

import pytest

from catalog_schemas.errors import CatalogError
from tasks.importers import EXAMPLES, Report
from tasks.importers.google import products
from tests.importers.shop import Shop, feed, fields, table

COLUMNS = [
    *("id", "title", "description", "link", "image link", "additional_image_link", "google_product_category"),
    *("product_type", "brand", "color", "size", "item_group_id", "gtin"),
]
MUG = {
    "id": "MUG-1",
    "title": "Stoneware mug",
    "description": "<p>Holds 300&nbsp;ml</p>",
    "link": "https://shop.example.com/mug",
    "image link": "https://cdn.example.com/mug.jpg",
    "additional_image_link": "https://cdn.example.com/w_200,h_300/mug2.jpg,https://cdn.example.com/mug3.jpg",
    "google_product_category": "2169",
    "product_type": "Kitchen > Cups & Mugs",
    "brand": "Kilnworks",
}


def sneaker(number: int, colour: str, size: str, image: str = "", group: str = "RUN", **more: str) -> dict[str, str]:
    image = image or f"https://cdn.example.com/{colour}.jpg"
    row = {"id": f"RUN-{number}", "title": f"Runner {colour} {size}", "image link": image, "color": colour}
    return row | {"size": size, "item_group_id": group, "product_type": "Women > Sneakers"} | more


def test_a_tab_separated_feed_becomes_products(shop: Shop):
    product = shop.products("google", table(COLUMNS, MUG, delimiter="\t"))["MUG-1"]
    assert product.class_noun == "mug"
    assert product.title == "Stoneware mug"
    assert product.brand == "Kilnworks"
    assert product.category == "Kitchen > Cups & Mugs"
    assert product.references == (
        "https://cdn.example.com/mug.jpg",
        "https://cdn.example.com/w_200,h_300/mug2.jpg",
        "https://cdn.example.com/mug3.jpg",
    )
    assert product.attributes == {"link": "https://shop.example.com/mug", "description": "Holds 300 ml"}


@pytest.mark.parametrize("root", ["rss", "feed"])
def test_rss_and_atom_feeds_read_like_the_table(shop: Shop, root: str):
    item = fields(
        id="MUG-1",
        title="Stoneware mug",
        description="<![CDATA[<p>Holds 300&nbsp;ml</p><script>x()</script>]]>",
        image_link="https://cdn.example.com/mug.jpg?a=1&amp;b=2",
        google_product_category="Home &amp; Garden &gt; Kitchen &amp; Dining &gt; Tableware &gt; Drinkware &gt; Mugs",
        shipping="<g:country>DE</g:country><g:price>4 EUR</g:price>",
    )
    item += fields(additional_image_link="https://cdn.example.com/2.jpg")
    item += fields(additional_image_link="https://cdn.example.com/3.jpg")
    product = shop.products("google", feed("<title>Not Google's</title>" + item, root=root))["MUG-1"]
    assert product.title == "Stoneware mug"
    assert product.class_noun == "mug"
    assert product.category == "Home & Garden > Kitchen & Dining > Tableware > Drinkware > Mugs"
    assert [url.rpartition("/")[2] for url in product.references] == ["mug.jpg?a=1&b=2", "2.jpg", "3.jpg"]
    assert product.attributes == {"description": "Holds 300 ml"}


def test_plain_rss_fields_serve_where_google_has_none(shop: Shop):
    item = "<title>Vase</title><description>Tall</description>" + fields(
        id="V", image_link="v.jpg", product_type="Vases"
    )
    product = shop.products("google", feed(item))["V"]
    assert (product.title, product.attributes["description"]) == ("Vase", "Tall")


def test_sizes_of_an_item_group_are_one_product_and_colours_are_not(shop: Shop):
    rows = [sneaker(1, "red", "38"), sneaker(2, "blue", "38"), sneaker(3, "red", "39", "https://cdn.example.com/r.jpg")]
    report = shop.imports("google", table(COLUMNS, *rows, delimiter="\t"))
    products, _ = shop.read()
    assert list(products) == ["RUN-1", "RUN-2"]
    assert products["RUN-1"].references == ("https://cdn.example.com/red.jpg", "https://cdn.example.com/r.jpg")
    assert products["RUN-1"].class_noun == "sneaker"
    assert products["RUN-1"].attributes == {
        "color": "red",
        "size": "38, 39",
        "item_group_id": "RUN",
        "google ids": "RUN-1\nRUN-3",
    }
    assert any("in size alone, and share its product: 1" in remark for remark in report.remarks)


def test_a_group_is_told_apart_by_whom_it_is_for_and_not_by_how_its_colour_is_spelled(shop: Shop):
    rows = [
        sneaker(1, "Red", "38", gtin="111") | {"gender": "female"},
        sneaker(2, "red", "39", gtin="222") | {"gender": "female"},
        sneaker(3, "red", "39") | {"gender": "male"},
        sneaker(4, "red", "39") | {"gender": "male", "age_group": "kids"},
        sneaker(2, "red", "39", gtin="222") | {"gender": "female"},
    ]
    products = shop.products("google", table([*COLUMNS, "gender", "age_group"], *rows, delimiter="\t"))
    assert list(products) == ["RUN-1", "RUN-3", "RUN-4"]
    attributes = products["RUN-1"].attributes
    assert (attributes["google ids"], attributes["gtin"]) == ("RUN-1\nRUN-2", "111, 222")


def test_a_header_may_have_googles_prefix_a_note_in_brackets_and_further_columns_of_photos(shop: Shop):
    header = "g:id\tG:Title\timage link [url]\tadditional image link\tadditional image link\tproduct type"
    row = "MUG-1\tMug\thttps://x/1.jpg\thttps://x/2.jpg\thttps://x/3.jpg\tKitchen > Mugs"
    mug = shop.products("google", f"{header}\n{row}\n")["MUG-1"]
    assert mug.references == ("https://x/1.jpg", "https://x/2.jpg", "https://x/3.jpg")


def test_an_item_without_a_photo_is_refused_for_that_and_googles_category_goes_before_the_shops_own(shop: Shop):
    of_google = {"google_product_category": "Home & Garden > Drinkware > Mugs", "product_type": "Gifts > Cups"}
    report = shop.imports(
        "google", table(COLUMNS, MUG | of_google, MUG | {"id": "B", "image link": ""}, delimiter="\t")
    )
    products, _ = shop.read()
    assert products["MUG-1"].category == of_google["google_product_category"]
    assert "B" in products, "additional photos are photos"
    report = shop.imports("google", feed(fields(id="C", title="Mug", product_type="Mugs")))
    assert report.refused == {"row_no_references": 1}


def test_rss_without_an_id_of_googles_is_known_by_its_guid(shop: Shop):
    item = "<guid>V-1</guid>" + fields(title="Vase", image_link="v.jpg", product_type="Vases")
    assert list(shop.products("google", feed(item))) == ["V-1"]


def test_items_of_a_group_without_a_colour_are_told_apart_by_their_photo(shop: Shop):
    rows = [sneaker(n, "", "38", f"https://cdn.example.com/{n % 2}.jpg") for n in (1, 2, 3)]
    assert list(shop.products("google", table(COLUMNS, *rows, delimiter="\t"))) == ["RUN-1", "RUN-2"]


def test_a_size_that_stands_apart_from_its_group_makes_no_second_product(shop: Shop):
    rows = [sneaker(1, "red", "38"), MUG, sneaker(2, "red", "39"), sneaker(3, "blue", "39")]
    report = shop.imports("google", table(COLUMNS, *rows, delimiter="\t"))
    assert list(shop.read()[0]) == ["RUN-1", "MUG-1", "RUN-3"]
    assert any(remark.startswith("items that stand apart") for remark in report.remarks)


def test_one_bad_line_costs_itself(shop: Shop):
    text = table(COLUMNS, MUG, MUG | {"id": "MUG-2"}, delimiter="\t") + "MUG-3\ttoo short\n"
    report = shop.imports("google", text)
    assert report.left_out == 1
    assert report.examples == ("line 4: expected 13 cells, got 2",)
    assert list(shop.read()[0]) == ["MUG-1", "MUG-2"]


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 25))
BOMB = f'<!DOCTYPE x [<!ENTITY e0 "ha">{ENTITIES}]><rss><channel>&e24;</channel></rss>'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "document type"),
        ('<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss><channel/></rss>', "document type"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><item>&x;</item></rss>', "document type"),
        ("<html><body>Sign in</body></html>", "expected a feed"),
        ("<!DOCTYPE html><html></html>", "document type"),
        (feed(fields(id="1", title="a"))[:-20], "not well-formed"),
        (feed("<g:id>1</g:id><g:title>&nbsp;</g:title>"), "not well-formed"),
        ("<rss>" + "<a>" * 5000, "deep"),
        ("<rss><channel></channel></rss>", "no product"),
        ("", "empty"),
        ("\n \n", "empty"),
        ("id,title\n1,Mug\n", "'image_link'"),
    ],
)
def test_what_is_no_feed_stops_at_once(shop: Shop, content: str, said: str):
    with pytest.raises(CatalogError) as caught:
        shop.imports("google", content)
    assert said in str(caught.value)
    assert not shop.catalog.exists()


def test_an_endless_item_or_tag_is_refused_in_bounded_memory(shop: Shop):
    huge = feed(fields(id="1", title="x" * 5_000_000), fields(id="2", title="Mug", image_link="m.jpg"))
    report = shop.imports("google", huge)
    assert report.left_out == 1
    with pytest.raises(CatalogError, match="tag or comment"):
        shop.imports("google", "<rss><!--" + "x" * 20_000_000)
    file, found = shop.folder / "huge.xml", Report()
    file.write_text(feed(fields(id="1", title="x" * 40_000_000)))
    tracemalloc.start()
    try:
        assert not list(products(file, found))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    assert "more than 4,000,000 characters" in found.examples[0]


def test_of_many_lines_that_are_left_out_or_remarked_on_the_first_are_told_and_all_are_counted():
    report = Report()
    for line in range(1, 100):
        report.leave_out(line, "bad")
        report.remark(line, "odd")
    assert (report.left_out, report.examples) == (99, [f"line {line}: bad" for line in range(1, EXAMPLES + 1)])
    assert report.lines() == ("odd: 99 (first: line 1)",)


def test_feeds_in_utf_16_and_with_a_mark_are_read(shop: Shop):
    text = table(COLUMNS, MUG | {"title": "Tasse bleu pétrole"}, delimiter="\t")
    for encoding in ("utf-16", "utf-8-sig"):
        assert shop.products("google", text.encode(encoding))["MUG-1"].title == "Tasse bleu pétrole"
    xml = '<?xml version="1.0" encoding="utf-16"?>' + feed(
        fields(id="1", title="é", image_link="a", product_type="Mugs")
    )
    assert shop.products("google", xml.encode("utf-16"))["1"].title == "é"
