from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas.errors import ConfigError
from configs.class_nouns import load_class_nouns
from configs.english import singular

NOUNS = load_class_nouns()
PAIRS = {"socks", "earrings", "blocks", "drawers"}  # photographed together, and called so
SHIPPED = Path("configs/class_nouns.yaml")


@pytest.mark.parametrize(
    ("category", "noun"),
    [
        ("Clothing > Shoes > Sneakers", "sneaker"),
        ("Apparel & Accessories > Shoes", "shoe"),
        ("Women's Shoes", "shoe"),
        ("Shoes > Women > Sale", "shoe"),
        ("Kids/T-Shirts", "t-shirt"),
        ("MUG", "mug"),
        ("Home & Garden > Kitchen & Dining > Tableware > Drinkware > Mugs", "mug"),
        ("Home & Garden > Decor > Clocks > Alarm Clocks", "alarm clock"),
        ("Home & Garden > Kitchen & Dining > Tableware > Drinkware > Glasses", "drinking glass"),
        ("Eyewear > Glasses", "eyeglasses"),
        ("Apparel & Accessories > Clothing > Outerwear > Coats & Jackets", "jacket"),
        ("2169", "mug"),
        ("Shower Curtain Rings", "shower curtain ring"),
        ("Baby Monitors", "baby monitor"),
    ],
)
def test_a_known_category_gives_what_a_person_would_say(category: str, noun: str):
    assert NOUNS.noun_for([category]).text == noun
    assert NOUNS.noun_for([category]).how == "mapped"


@pytest.mark.parametrize(
    ("category", "noun"),
    [("Tea Bags", "tea bag"), ("Outdoor > Bike Lights", "bike light"), ("Didgeridoos", "didgeridoo")],
)
def test_an_unknown_category_may_speak_for_itself(category: str, noun: str):
    assert (NOUNS.noun_for([category]).text, NOUNS.noun_for([category]).how) == (noun, "inferred")


@pytest.mark.parametrize(
    "category",
    [
        *("", " > ", "Accessories", "Home > Other", "Shoes > Shoe Care", "Shoes > Shoe Accessories", "Gift Sets"),
        *("Cups & Mugs", "Sale", "Uncategorized", "Schuhe", "Glasses", "99999999", "12-Piece Sets", "Cases for Phones"),
        *("Fragrance Oil", "Electronics", "=1+1", "{title}", "Clothing", "Christmas", "🙂", "a" * 5000),
    ],
)
def test_no_noun_is_guessed_where_none_is_sure(category: str):
    assert NOUNS.noun_for([category]).text == ""
    assert NOUNS.noun_for([category]).how == "unknown"


def test_the_title_decides_between_the_halves_of_a_category():
    assert NOUNS.noun_for(["Cups & Mugs"], "Stoneware Mug, 300 ml").text == "mug"
    assert NOUNS.noun_for(["Cups & Mugs"], "Espresso cups").text == "cup"
    assert NOUNS.noun_for(["Cups & Mugs"], "Mug or cup").text == ""
    assert NOUNS.noun_for(["Coats & Jackets"], "Winter coat").text == "coat"


def test_the_more_specific_of_two_categories_wins():
    assert NOUNS.noun_for(["Shoes", "Apparel > Shoes > Sneakers"]).text == "sneaker"
    assert NOUNS.noun_for(["Shoes > Boots", "Apparel & Accessories > Shoes"]).text == "boot"
    assert NOUNS.noun_for(["Bestsellers 2026", "Apparel & Accessories > Shoes"]).text == "shoe"
    assert NOUNS.noun_for(["Sky Lanterns", "Home > Vases"]).text == "vase"


def test_a_file_of_ones_own_adds_and_overrides(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("nouns:\n  Mugs: beer mug\n  Schuhe: shoe\n  Vases: ''\nvague: [didgeridoos]\n", encoding="utf-8")
    mine = load_class_nouns(file)
    assert [mine.noun_for([name]).text for name in ("Mugs", "Wohnen > Schuhe", "Vases", "Didgeridoos", "Shoes")] == [
        *("beer mug", "shoe", "", "", "shoe")
    ]


def test_every_fault_of_a_file_is_told_at_once(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("nouns:\n  Mugs: Mug\n  ' > ': cup\n  Cups: \"a\\tcup\"\nvauge: [x]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_class_nouns(file, tmp_path / "none.yaml")
    assert all(word in str(caught.value) for word in ("vauge", "none.yaml"))
    file.write_text("nouns:\n  Mugs: Mug\n  ' > ': cup\n  Cups: \"a\\tcup\"\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_class_nouns(file)
    assert str(caught.value).count("mine.yaml") == 3


def test_the_shipped_mapping_is_large_and_consistent():
    nouns = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["nouns"]
    assert len(nouns) >= 400
    for category, noun in nouns.items():
        assert NOUNS.noun_for([str(category)]).text == noun, category
        last = noun.split()[-1] if noun else ""
        assert singular(last) == last or last in PAIRS, f"{category}: {noun} is a plural"


@given(st.text(max_size=80), st.text(max_size=40))
def test_any_text_gets_a_plain_noun_or_none(category: str, title: str):
    noun = NOUNS.noun_for([category], title).text
    assert noun == noun.lower().strip()
    assert len(noun) <= 80
    assert noun.isprintable()


@pytest.mark.parametrize(
    ("many", "one"),
    [
        *(("sneakers", "sneaker"), ("dresses", "dress"), ("watches", "watch"), ("boxes", "box"), ("shoes", "shoe")),
        *(("shelves", "shelf"), ("knives", "knife"), ("accessories", "accessory"), ("hoodies", "hoodie")),
        *(("vases", "vase"), ("cameras", "camera"), ("bikinis", "bikini"), ("glass", "glass"), ("jeans", "jeans")),
        *(("cactus", "cactus"), ("mice", "mouse"), ("potatoes", "potato"), ("bus", "bus"), ("christmas", "christmas")),
    ],
)
def test_plurals_become_singular(many: str, one: str):
    assert singular(many) == one
