import json

import pytest

from catalog_schemas.errors import CatalogError, ConfigError, StoreError
from configs.schema import CatalogConfig
from tasks.import_catalog import granted_prefixes, import_catalog
from tasks.storage.sources import Sources
from tests.importers.shop import Shop

PLAIN = "sku,title,class_noun,photos\n"


def _table(row: dict[str, str]) -> str:
    return "\t".join(row) + "\n" + "\t".join(row.values()) + "\n"


def test_every_column_finds_its_place(shop: Shop):
    content = (
        "SKU;Title;Class Noun;Photos;Masks;Category;Brand;Locale;Updated at;Neck width;Glaze;\n"
        "V-1;Vase;vase;a.jpg|b.jpg;a.png | b.png;Decor > Vases;Kilnworks;en;2026-03-01T10:00:00+02:00;4 cm; ;unnamed\n"
    )
    vase = shop.products("csv", content)["V-1"]
    assert vase.references == (str(shop.folder / "a.jpg"), str(shop.folder / "b.jpg"))
    assert vase.masks == (str(shop.folder / "a.png"), str(shop.folder / "b.png"))
    assert (vase.category, vase.brand, vase.locale) == ("Decor > Vases", "Kilnworks", "en")
    assert vase.updated_at is not None
    assert vase.updated_at.isoformat() == "2026-03-01T08:00:00+00:00"
    assert vase.attributes == {"neck width": "4 cm"}, "an empty cell says nothing, nor does a column without a name"


@pytest.mark.parametrize(
    ("cell", "photos"),
    [
        ("a.jpg, b.jpeg,  c.png", ["a.jpg", "b.jpeg", "c.png"]),
        ("a.jpg;b.jpg; c.jpg", ["a.jpg", "b.jpg", "c.jpg"]),
        ("a.jpg\nb.jpg", ["a.jpg", "b.jpg"]),
        ("https://x/a, https://x/b.jpg,https://x/w_1,h_2/c", ["https://x/a", "https://x/b.jpg", "https://x/w_1,h_2/c"]),
        ("https://x/a?w=1;v=2;https://x/b?c=1&amp;d=2", ["https://x/a?w=1;v=2", "https://x/b?c=1&amp;d=2"]),
        ("https://x/a?w=1;b.jpg", ["https://x/a?w=1", "b.jpg"]),
        ("mugs, blue/a,b.jpg", ["mugs, blue/a,b.jpg"]),
        ("mugs\\a.jpg|mugs\\blue", ["mugs/a.jpg", "mugs/blue"]),
    ],
)
def test_a_cell_of_photos_comes_apart_between_them(shop: Shop, cell: str, photos: list[str]):
    report = shop.imports("csv", PLAIN + f'1,A,mug,"{cell}"\n')
    (product,) = shop.read()[0].values()
    assert [photo.removeprefix(f"{shop.folder}/") for photo in product.references] == photos
    assert any("comma" in remark for remark in report.remarks) == (photos == [cell])


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize("masks", [["", "b.png"], ["a.png", ""], ["a.png", "b.png"], ["", ""]])
def test_a_photo_without_a_mask_may_stand_beside_one_that_has_one(shop: Shop, kind: str, masks: list[str]):
    row = {"sku": "1", "title": "Mug", "class_noun": "mug", "photos": "a.jpg|b.jpg", "masks": "|".join(masks)}
    content = json.dumps(row | {"photos": ["a.jpg", "b.jpg"], "masks": masks}) if kind == "jsonl" else _table(row)
    (mug,) = shop.products(kind, content).values()
    assert mug.masks == (tuple(mask and str(shop.folder / mask) for mask in masks) if any(masks) else ())


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_entities_of_html_are_the_characters_they_stand_for(shop: Shop, kind: str):
    texts = {"sku": "R&amp;D", "title": "Bike&nbsp;Light &#128293;&#10;R&D  &copy 5 < 6 &nope;"}
    row = texts | {"category": "Home &amp; Garden &gt; Bike Lights", "photos": "a.jpg"}
    (light,) = shop.products(kind, json.dumps(row) if kind == "jsonl" else _table(row)).values()
    assert (light.sku, light.class_noun) == ("R&amp;D", "bike light")
    assert light.title == "Bike Light 🔥 R&D &copy 5 < 6 &nope;"


def test_a_category_stands_in_for_a_class_noun(shop: Shop):
    report = shop.imports(
        "csv",
        "sku,title,class_noun,category,photos\n"
        "1,A,beer stein,Mugs,a.jpg\n2,B,,Mugs,b.jpg\n3,C,,Accessories,c.jpg\n4,D,,Tea Bags,d.jpg\n5,E,,Accessories,e\n",
    )
    products, rejections = shop.read()
    assert [product.class_noun for product in products.values()] == ["beer stein", "mug", "tea bag"]
    assert [(one.sku, one.reason) for one in rejections] == [("3", "row_field_missing"), ("5", "row_field_missing")]
    assert report.nouns.mapped == 1
    assert dict(report.nouns.inferred) == {("Tea Bags", "tea bag"): 1}
    assert dict(report.nouns.unknown) == {"Accessories": 2}
    assert report.nouns.first == {"Accessories": "line 4, SKU 3"}


def test_a_mapping_of_ones_own_is_used(shop: Shop):
    content = "sku,title,category,photos\n1,A,Accessories,a.jpg\n"
    assert shop.products("csv", content, nouns="nouns: {Accessories: key ring}")["1"].class_noun == "key ring"


def test_the_report_names_the_line_of_every_row_that_a_run_will_refuse(shop: Shop):
    report = shop.imports(
        "csv",
        PLAIN + '1,"two\nlines",mug,a.jpg\n2,,mug,a.jpg\n3,C,mug,\n3,D,mug,d.jpg\n' + f"5,{'x' * 501},mug,e.jpg\n",
    )
    assert report.refused == {
        "row_field_invalid": 2,
        "row_field_missing": 1,
        "row_no_references": 1,
    }
    assert [example.partition(",")[0] for example in report.examples] == ["line 2", "line 4", "line 5", "line 7"]
    products, rejections = shop.read()
    assert list(products) == ["3"]
    assert sorted(one.reason for one in rejections) == [
        *("row_field_invalid", "row_field_invalid", "row_field_missing", "row_no_references")
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_newlines_encodings_and_delimiters_are_found_out(shop: Shop, newline: str, encoding: str, delimiter: str):
    rows = [["sku", "title", "class_noun", "photos"], ["1", "Grüße", "mug", "a.jpg"], ["2", "B", "mug", "b.jpg"]]
    content = newline.join(delimiter.join(row) for row in rows) + newline
    products = shop.products("csv", content.encode(encoding))
    assert [product.title for product in products.values()] == ["Grüße", "B"]


def test_an_encoding_that_nobody_can_find_out_may_be_named(shop: Shop):
    content = (PLAIN + "1,Grüße,mug,a.jpg\n2,B,mug,b.jpg\n").encode("cp1252")
    report = shop.imports("csv", content)
    assert (report.products, report.left_out) == (1, 1)
    assert "--encoding cp1252" in report.examples[0]
    report = shop.imports("csv", content, encoding="cp1252")
    assert (report.products, report.left_out) == (2, 0)
    assert [product.title for product in shop.read()[0].values()] == ["Grüße", "B"]
    report = shop.imports("csv", content, encoding="ascii")
    assert (report.products, report.examples) == (1, ("line 2: holds bytes that are not ascii",))


def test_jsonl_may_be_in_another_encoding_too(shop: Shop):
    row = {"sku": "1", "title": "Grüße", "class_noun": "mug", "photos": "a.jpg"}
    shop.imports("jsonl", json.dumps(row, ensure_ascii=False).encode("utf-16-le"), encoding="utf-16-le")
    assert shop.read()[0]["1"].title == "Grüße"


@pytest.mark.parametrize("name", ["cp125", "hex"])
def test_an_encoding_that_is_none_of_texts_is_refused(shop: Shop, name: str):
    with pytest.raises(ConfigError, match=f"no encoding '{name}'"):
        shop.imports("csv", PLAIN + "1,A,mug,a.jpg\n", encoding=name)


def test_a_first_line_that_tells_excel_the_delimiter_is_no_header(shop: Shop):
    report = shop.imports("csv", "sep=;\r\nsku;title;class_noun;photos\r\n1;A;mug;a.jpg\r\n2;B;mug\r\n")
    assert list(shop.read()[0]) == ["1"]
    assert report.examples == ("line 4: expected 4 cells, got 3",)


def test_mixed_newlines_and_blank_lines_do_no_harm(shop: Shop):
    report = shop.imports("csv", PLAIN + "1,A,mug,a.jpg\r\n\n2,B,mug,b.jpg\r3,C,mug,c.jpg\n\r\n,,,\n4,D,mug,d.jpg")
    assert list(shop.read()[0]) == ["1", "2", "3", "4"]
    assert report.left_out == 0


def test_unreadable_rows_are_left_out_and_their_neighbours_stay(shop: Shop):
    rows = [
        b"1,A,mug,a.jpg",
        b"2,one,cell,too,many",
        b"3,too few",
        b'4,"quo"te,mug,d.jpg',
        b"5,\xff\xfe,mug,e.jpg",
        b"6,F,mug,f.jpg,,",
        b"7," + b"x" * 1_000_001 + b",mug,g.jpg",
        b"8,H,mug,h.jpg",
    ]
    report = shop.imports("csv", PLAIN.encode() + b"\n".join(rows))
    assert list(shop.read()[0]) == ["1", "6", "8"]
    assert report.left_out == 5
    assert [example.partition(":")[0] for example in report.examples] == [f"line {n}" for n in (3, 4, 5, 6, 8)]


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ("E", "unexpected end of data"),
        ('"Best" mug', "expected after"),
        ('Mug 5"', "a quote joins it with the rows up to line 6"),
        ('Mug 5"\tm\tn', "a quote joins it with the rows up to line 6"),
    ],
)
def test_an_open_quote_costs_its_own_row_alone(shop: Shop, later: str, said: str):
    titles = ["A", '"Best dad mug', "C", "D", later, "F"]
    content = "".join(f"{n}\t{title}\tmug\t{n}.jpg\n" for n, title in enumerate(titles))
    report = shop.imports("csv", PLAIN.replace(",", "\t") + content)
    kept = [0, 2, 3, 4, 5] if later in ("E", 'Mug 5"') else [0, 2, 3, 5]
    assert list(map(int, shop.read()[0])) == kept
    assert report.left_out == len(titles) - len(kept)
    assert report.examples[0].startswith("line 3: not readable as a table row: ")
    assert said in report.examples[0]


def test_an_open_quote_far_from_any_other_costs_its_own_row_alone(shop: Shop):
    rows = "".join(f"{n},N,mug,n.jpg\n" for n in range(2_000))
    report = shop.imports("csv", PLAIN + 'a,"A,mug,a.jpg\n' + rows)
    assert (report.products, report.left_out) == (2_000, 1)
    assert "line 2: not readable as a table row: a row has more than 1,000 lines" in report.examples[0]


def test_cells_of_many_lines_are_read_whole(shop: Shop):
    story = "One, two,\nthree, four, five, six\n\nseven, eight, nine, ten\n" * 3
    report = shop.imports("csv", f'{PLAIN.strip()},story\n1,A,mug,a.jpg,"{story}"\n2,B,mug,b.jpg,b\n')
    assert report.left_out == 0
    assert shop.read()[0]["1"].attributes["story"] == story.strip()


def test_text_stays_text_whatever_a_spreadsheet_would_make_of_it(shop: Shop):
    formulas = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "{0.__class__}", "{{7*7}}", "</script>", "%s"]
    rows = "".join(f'{n},"{text.replace(chr(34), chr(34) * 2)}",mug,a.jpg\n' for n, text in enumerate(formulas))
    assert [product.title for product in shop.products("csv", PLAIN + rows).values()] == formulas


def test_control_characters_reach_the_run_which_refuses_them(shop: Shop):
    report = shop.imports("csv", PLAIN + "1,A\0B,mug,a.jpg\n2,\u202eevil,mug,b.jpg\n3,C,mug,c\0.jpg\n4,D,mug,d.jpg\n")
    products, rejections = shop.read()
    assert [one.reason for one in rejections] == ["row_field_invalid", "row_field_invalid"]
    assert list(products) == ["3", "4"]
    assert report.refused == {"row_field_invalid": 2}


def test_a_very_long_attribute_is_cut_and_told(shop: Shop):
    report = shop.imports("csv", PLAIN.replace("photos", "photos,story") + f"1,A,mug,a.jpg,{'x' * 100_000}\n")
    assert len(shop.read()[0]["1"].attributes["story"]) == 20_000
    assert any("cut there" in remark for remark in report.remarks)


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (b"", ["empty"]),
        (b"\n\n", ["empty"]),
        (b"sku,title\n1,A\n", ["'class_noun' or 'category' is missing", "'photos'"]),
        (b"sku|title|class_noun|photos\n1|A|mug|a.jpg\n", ["'sku' is missing", "'title' is missing"]),
        (b"sku,title,class_noun,photos,Title,colour,colour\n", ["'title' comes more", "'colour' comes more"]),
        (b"sku,title,class_noun,photos\n", ["no product"]),
        (b"sku,title,class_noun,photos\n1,2\n3\n", ["no product", "line 2", "line 3"]),
        (b"PK\x03\x04rest", ["Excel"]),
        (b"PAR1rest", ["Parquet"]),
        (b"\x1f\x8brest", ["gzip"]),
        (b"\x00\x01\x02\x03" * 100, ["binary"]),
        ("sku,title".encode("utf-16-le"), ["binary"]),
        (b'"sku,title\n', ["'sku' is missing"]),
        (b"\xff\xfes", ["not readable as text"]),
        (b"a," * 2000, ["at most 1000 columns"]),
    ],
)
def test_what_is_no_catalog_stops_with_every_fault(shop: Shop, content: bytes, faults: list[str]):
    with pytest.raises(CatalogError) as caught:
        shop.imports("csv", content)
    assert all(fault in str(caught.value) for fault in faults), caught.value
    assert not shop.catalog.exists()
    assert not list(shop.folder.glob("out/*"))


def test_a_failed_import_leaves_the_catalog_of_yesterday(shop: Shop):
    shop.imports("csv", PLAIN + "1,A,mug,a.jpg\n")
    with pytest.raises(CatalogError):
        shop.imports("csv", PLAIN + "not a row\n")
    assert list(shop.read()[0]) == ["1"]


def test_the_files_folder_is_granted_and_nothing_else(shop: Shop):
    shop.imports("csv", PLAIN + "1,A,mug,a.jpg\n2,B,mug,/etc/passwd\n3,C,mug,../secret.jpg\n")
    assert granted_prefixes(str(shop.catalog)) == (str(shop.folder.resolve()),)
    (shop.folder / "a.jpg").write_bytes(b"photo")
    products, _ = shop.read()
    sources = Sources(str(shop.catalog), CatalogConfig(reference_prefixes=granted_prefixes(str(shop.catalog))))
    assert sources.read(products["1"].references[0], 100) == b"photo"
    for sku in ("2", "3"):
        with pytest.raises(Exception, match="lies outside"):
            sources.resolve(products[sku].references[0])


def test_a_grant_goes_when_the_photos_are_on_the_web(shop: Shop):
    shop.imports("csv", PLAIN + "1,A,mug,a.jpg\n")
    shop.imports("csv", PLAIN + "1,A,mug,https://cdn.example.com/a.jpg\n")
    assert granted_prefixes(str(shop.catalog)) == ()


def test_no_file_and_no_way_to_write_are_told(shop: Shop):
    with pytest.raises(CatalogError, match="no such file"):
        import_catalog("csv", str(shop.folder / "none.csv"), str(shop.catalog))
    with pytest.raises(CatalogError, match="local files"):
        import_catalog("csv", "s3://bucket/a.csv", str(shop.catalog))
    with pytest.raises(CatalogError, match="cannot be read"):
        import_catalog("csv", str(shop.folder), str(shop.catalog))
    file = shop.folder / "a.csv"
    file.write_text(PLAIN + "1,A,mug,a.jpg\n")
    with pytest.raises(CatalogError, match="the file itself"):
        import_catalog("csv", str(file), str(file))
    with pytest.raises(StoreError, match="can be written"):
        import_catalog("csv", str(file), str(file / "below" / "a.parquet"))
