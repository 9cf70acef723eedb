"""Which colour a catalog's words mean."""

import pytest

from catalog_schemas.product import Product
from configs.library import load_library
from tasks.planning.colour_words import ColourWords, _shops_words

COLOURS = load_library().colours
WORDS = ColourWords(COLOURS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Black", "black"),
        ("light grey", "light-grey"),
        ("light-grey", "light-grey"),
        ("Charcoal Heather", "charcoal"),
        ("Matte black", "black"),
        ("Navy blue", "navy"),
        ("Black/White", "black"),
        ("White, Red and Blue", "white"),
        ("Ahorn und Schwarz", "black"),
        ("vert", "green"),
        ("Weiß", "white"),
        ("Off-White", "ivory"),
        ("Vintage / Sage", "sage"),
    ],
)
def test_the_first_that_is_named_is_meant_and_the_longest_name_of_it(text: str, name: str) -> None:
    assert WORDS.hex_of(text) == COLOURS[name].hex


@pytest.mark.parametrize(
    "between", [*"/|,;&+", " - ", " and ", " with ", " und ", " mit ", " et ", " avec ", " y ", " con ", " e ", " met "]
)
def test_of_two_colours_the_first_is_meant_though_the_other_has_the_longer_name(between: str) -> None:
    assert WORDS.hex_of(f"White{between}light grey") == COLOURS["white"].hex


def test_a_name_of_two_words_is_known_before_either_of_them() -> None:
    assert WORDS.hex_of("royal blue") not in ("", COLOURS["blue"].hex)
    assert WORDS.hex_of("royalblue") == WORDS.hex_of("bright royal-blue") == WORDS.hex_of("royal blue")


def test_a_hex_code_is_taken_as_it_is() -> None:
    assert WORDS.hex_of("#1A7F5A") == "#1a7f5a"
    assert WORDS.hex_of("#abc / black") == "#aabbcc"
    assert WORDS.hex_of("#12345 / black") == COLOURS["black"].hex


@pytest.mark.parametrize("text", ["", " / ", "Forest camouflage", "No. 7", "multicolour", "original", "Redwood", "#xy"])
def test_what_names_no_colour_means_none(text: str) -> None:
    assert WORDS.hex_of(text) == ""


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Nord Mug in Teal", "teal"),
        ("Black leather satchel", "black"),
        ("Satchel - Black / Brown", "black"),
        ("Light-grey felt slippers", "light-grey"),
        ("Tasse in Weiß, 300 ml", "white"),
        ("White mug with light grey dots", "white"),
        ("Becher mit rotem Henkel, weiß", ""),
        ("Mug with a blue stripe", ""),
        ("Mug (also in red)", ""),
        ("Navy blue bag", "navy"),
        ("Teal lagoon bag, blue", "teal"),
        ("Rose garden mug blue", ""),
        ("Twin-bell alarm clock", ""),
        ("#1 Dad mug", ""),
        ("", ""),
    ],
)
def test_a_title_names_a_colour_where_it_names_one_of_the_product_itself(title: str, name: str) -> None:
    assert WORDS.in_title(title, "mug") == (COLOURS[name].hex if name else "")


def test_a_class_noun_is_no_colour() -> None:
    assert WORDS.in_title("Preserved rose", "rose") == ""
    assert WORDS.in_title("Preserved rose, red", "rose") == COLOURS["red"].hex
    assert WORDS.in_title("Rose gold ring", "ring") == WORDS.hex_of("rose gold")


def test_a_products_colour_is_its_attribute_s_or_else_its_title_s() -> None:
    def colour(**attributes: str) -> str:
        return WORDS.of_product(Product("M", "Red mug", "mug", ("a.jpg",), attributes=attributes), ("colour", "color"))

    assert colour() == colour(colour="Multicolour") == colour(color="") == COLOURS["red"].hex
    assert colour(color="Black") == COLOURS["black"].hex


def test_a_librarys_own_colour_is_a_word_and_replaces_what_it_meant() -> None:
    own = {"house": COLOURS["red"].model_copy(update={"title": "Mint", "hex": "#123456"})}
    assert ColourWords(own).hex_of("Fresh mint") == "#123456"
    assert ColourWords(own).hex_of("schwarz") == "", "of a library that has no black"


def test_each_word_means_a_code_or_a_colour_of_the_library() -> None:
    for word, meant in _shops_words().items():
        assert WORDS.hex_of(word) == (meant if meant.startswith("#") else COLOURS[meant].hex), word
