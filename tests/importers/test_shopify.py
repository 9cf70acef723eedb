import pytest

from catalog_schemas.errors import CatalogError
from tests.importers.shop import SHOPIFY, SHOPIFY_2024, Shop, table

CDN = "https://cdn.example.com/files/"
SHIRT = {"Handle": "tee", "Option1 Name": "Color", "Option2 Name": "Size"}


def shirt(colour: str, size: str, image: str = "", **cells: str) -> dict[str, str]:
    sku = f"TEE-{colour[:1]}-{size}".upper()
    variant = {"Handle": "tee", "Option1 Value": colour, "Option2 Value": size, "Variant SKU": sku}
    return variant | ({"Variant Image": CDN + image} if image else {}) | cells


def photo(name: str, position: int, alt: str = "", handle: str = "tee") -> dict[str, str]:
    return {"Handle": handle, "Image Src": CDN + name, "Image Position": str(position), "Image Alt Text": alt}


def named(name: str) -> str:
    return CDN + name


FIRST = {
    "Handle": "tee",
    "Title": "Plain Tee",
    "Body (HTML)": "<p>Soft&nbsp;cotton &amp; linen.</p><ul><li>Machine wash</li></ul>",
    "Vendor": "Loomhouse",
    "Product Category": "Apparel & Accessories > Clothing > Clothing Tops > T-Shirts",
    "Type": "Tops",
    "Tags": "cotton, summer",
    "Option1 Name": "Color",
    "Option2 Name": "Size",
    "Status": "active",
}


def test_colours_with_photos_become_products_and_sizes_do_not(shop: Shop):
    products = shop.products(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Red", "S", "red.jpg") | photo("red.jpg", 1),
            shirt("Red", "M", "red.jpg") | photo("back-of-it.jpg", 3, "The red tee from behind"),
            shirt("Navy Blue", "S", "navy.jpg") | photo("navy.jpg", 2),
            shirt("Navy Blue", "M", "navy.jpg") | photo("tee_navy-blue_2.jpg?v=17", 4),
        ),
    )
    assert list(products) == ["tee.red", "tee.navy-blue"]
    red, navy = products.values()
    assert red.title == "Plain Tee, Red"
    assert red.references == (named("red.jpg"), named("back-of-it.jpg"))
    assert navy.references == (named("navy.jpg"), named("tee_navy-blue_2.jpg?v=17"))
    assert red.class_noun == "t-shirt"
    assert red.brand == "Loomhouse"
    assert red.category == "Apparel & Accessories > Clothing > Clothing Tops > T-Shirts"
    assert red.attributes == {
        "handle": "tee",
        "product title": "Plain Tee",
        "color": "Red",
        "size": "S, M",
        "variant skus": "TEE-R-S, TEE-R-M",
        "type": "Tops",
        "tags": "cotton, summer",
        "status": "active",
        "description": "Soft cotton & linen.\nMachine wash",
    }


def test_a_photo_that_does_not_say_its_colour_goes_to_none(shop: Shop):
    report = shop.imports(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Blue", "S", "1.jpg") | photo("1.jpg", 1),
            shirt("Navy Blue", "S", "2.jpg") | photo("2.jpg", 2),
            photo("3.jpg", 3, "Both our blue and our navy blue tee"),
            photo("4.jpg", 4, "Folded"),
            photo("5.jpg", 5, "A navy blue sleeve"),
        ),
    )
    products, _ = shop.read()
    assert products["tee.blue"].references == (named("1.jpg"),)
    assert products["tee.navy-blue"].references == (named("2.jpg"), named("5.jpg"))
    assert "photos that do not say which look they show, left out: 2 (first: line 2)" in report.remarks


def test_of_colours_that_begin_alike_a_photo_shows_the_one_whose_whole_name_it_says(shop: Shop):
    products = shop.products(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Navy", "S", "1.jpg") | photo("1.jpg", 1),
            shirt("Navy Blue", "S", "2.jpg") | photo("2.jpg", 2),
            photo("3.jpg", 3, "A navy blue sleeve"),
            photo("4.jpg", 4, "A navy sleeve"),
        ),
    )
    assert products["tee.navy"].references == (named("1.jpg"), named("4.jpg"))
    assert products["tee.navy-blue"].references == (named("2.jpg"), named("3.jpg"))


def test_a_look_is_called_by_what_tells_it_from_the_others_and_shown_by_the_first_image_of_its_variants(shop: Shop):
    """What all of them are made of is in no SKU, and a size without an image of its own looks like the others."""
    wool = {"Option3 Value": "Wool"}
    products = shop.products(
        "shopify",
        table(
            [*SHOPIFY, "Option3 Name", "Option3 Value"],
            FIRST | {"Option3 Name": "Material"} | shirt("Red", "S", "1.jpg") | wool | photo("1.jpg", 1),
            shirt("Red", "M") | wool,
            shirt("Blue", "S", "2.jpg") | wool | photo("2.jpg", 2),
            shirt("Blue", "M") | wool,
            photo("3.jpg", 3, "The red wool tee") | {"Image Position": "²"},
        ),
    )
    assert {sku: (one.title, one.references) for sku, one in products.items()} == {
        "tee.red": ("Plain Tee, Red", (named("1.jpg"), named("3.jpg"))),
        "tee.blue": ("Plain Tee, Blue", (named("2.jpg"),)),
    }
    assert [one.attributes["material"] for one in products.values()] == ["Wool", "Wool"]


def test_a_product_without_variant_images_is_one_sku_with_its_photos_in_order(shop: Shop):
    report = shop.imports(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Red", "S") | photo("b.jpg", 2),
            shirt("Blue", "S") | photo("a.jpg", 1),
            photo("c.jpg", 10),
            photo("b.jpg", 11),
        ),
    )
    products, _ = shop.read()
    assert list(products) == ["tee"]
    assert products["tee"].references == tuple(map(named, ("a.jpg", "b.jpg", "c.jpg")))
    assert products["tee"].attributes["color"] == "Red, Blue"
    assert products["tee"].title == "Plain Tee"
    assert any("share their photos, taken as one SKU: 1" in remark for remark in report.remarks)


def test_sizes_with_images_of_their_own_stay_one_product(shop: Shop):
    first = {"Handle": "jug", "Title": "Jug", "Type": "Jugs", "Option1 Name": "Size", "Option1 Value": "1 l"}
    products = shop.products(
        "shopify",
        table(
            SHOPIFY,
            first | {"Variant Image": named("1.jpg")} | photo("1.jpg", 1, handle="jug"),
            {"Handle": "jug", "Option1 Value": "2 l", "Variant Image": named("2.jpg")}
            | photo("2.jpg", 2, handle="jug"),
        ),
    )
    assert list(products) == ["jug"]
    assert products["jug"].references == (named("1.jpg"), named("2.jpg"))


def test_a_colour_without_a_photo_is_set_aside_and_told(shop: Shop):
    report = shop.imports(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Red", "S", "red.jpg") | photo("red.jpg", 1),
            shirt("Green", "S"),
        ),
    )
    products, rejections = shop.read()
    assert list(products) == ["tee.red"]
    assert [(one.sku, one.reason) for one in rejections] == [("tee.green", "row_no_references")]
    assert report.refused == {"row_no_references": 1}
    assert any("without a photo of their own" in remark for remark in report.remarks)


def test_what_the_shop_calls_default_is_no_option(shop: Shop):
    row = {"Handle": "mug", "Title": "Mug", "Type": "Mugs", "Option1 Name": "Title", "Option1 Value": "Default Title"}
    product = shop.products("shopify", table(SHOPIFY, row | {"Variant SKU": "M-1"} | photo("m.jpg", 1, handle="mug")))
    assert product["mug"].attributes == {"handle": "mug", "variant skus": "M-1", "type": "Mugs"}


def test_the_column_names_of_2024_mean_the_same(shop: Shop):
    first = {"URL handle": "vase", "Title": "Vase", "Description": "<b>Tall</b>", "Product category": "Decor > Vases"}
    first |= {"Option1 name": "Colour", "Product image URL": named("white.jpg"), "Image position": "1"}
    products = shop.products(
        "shopify",
        table(
            SHOPIFY_2024,
            first | {"Option1 value": "White", "SKU": "V-W", "Variant image URL": named("white.jpg")},
            {"URL handle": "vase", "Option1 value": "Black", "SKU": "V-B", "Variant image URL": named("black.jpg")},
        ),
    )
    assert list(products) == ["vase.white", "vase.black"]
    assert products["vase.black"].attributes["variant skus"] == "V-B"
    assert products["vase.black"].class_noun == "vase"
    assert products["vase.black"].attributes["description"] == "Tall"


def test_archived_products_and_gift_cards_are_passed_over_and_told(shop: Shop):
    mug = {"Title": "Mug", "Type": "Mugs"}
    report = shop.imports(
        "shopify",
        table(
            SHOPIFY,
            {"Handle": "a", **mug, "Status": "archived"} | photo("a.jpg", 1, handle="a"),
            {"Handle": "b", **mug, "Gift Card": "TRUE"} | photo("b.jpg", 1, handle="b"),
            {"Handle": "c", **mug, "Status": "draft"} | photo("c.jpg", 1, handle="c"),
        ),
    )
    assert list(shop.read()[0]) == ["c"]
    assert "archived products, passed over: 1 (first: line 2)" in report.remarks
    assert "gift cards, passed over: 1 (first: line 3)" in report.remarks


def test_an_option_that_is_called_handle_is_not_the_products_handle(shop: Shop):
    knife = {"Handle": "knife", "Title": "Knife", "Type": "Knives", "Option1 Name": "Handle"}
    rows = [
        knife | {"Option1 Value": "Oak", "Variant Image": named("oak.jpg")} | photo("oak.jpg", 1, handle="knife"),
        {"Handle": "knife", "Option1 Value": "Bone", "Variant Image": named("bone.jpg")},
    ]
    products = shop.products("shopify", table(SHOPIFY, *rows))
    assert {sku: product.listing.handle for sku, product in products.items()} == {
        "knife.oak": "knife",
        "knife.bone": "knife",
    }


def test_rows_that_stray_from_their_handle_are_left_out_with_their_lines(shop: Shop):
    mug = {"Title": "Mug", "Type": "Mugs"}
    report = shop.imports(
        "shopify",
        table(
            SHOPIFY,
            {"Handle": "a", **mug} | photo("a.jpg", 1, handle="a"),
            {"Handle": "b", **mug} | photo("b.jpg", 1, handle="b"),
            photo("late.jpg", 2, handle="a"),
            {"Title": "No handle", "Image Src": named("x.jpg")},
        ),
    )
    assert report.left_out == 2
    assert [line.partition(":")[0] for line in report.examples] == ["line 4", "line 5"]
    assert list(shop.read()[0]) == ["a", "b"]


def test_two_colours_that_read_alike_stay_two_skus(shop: Shop):
    products = shop.products(
        "shopify",
        table(
            SHOPIFY,
            FIRST | shirt("Off White", "S", "1.jpg") | photo("1.jpg", 1),
            shirt("off-white!", "S", "2.jpg"),
            shirt("🙂", "S", "3.jpg"),
        ),
    )
    assert list(products) == ["tee.off-white", "tee.off-white-2", "tee.plain"]


def test_photos_on_the_web_are_kept_and_the_report_says_that_a_run_must_allow_them(shop: Shop):
    report = shop.imports(
        "shopify", table(SHOPIFY, {"Handle": "m", "Title": "M", "Type": "Mugs"} | photo("m.jpg", 1, handle="m"))
    )
    assert any("photos on the web: 1; a run refuses" in remark for remark in report.remarks)


def test_another_kind_of_csv_stops_at_once_with_every_fault(shop: Shop):
    with pytest.raises(CatalogError) as caught:
        shop.imports("shopify", "sku,name,name\n1,Mug,Mug\n")
    faults = "\n".join(caught.value.faults)
    assert all(word in faults for word in ("'handle'", "'title'", "'image src'", "'name' comes more than once"))
    assert not shop.catalog.exists()
