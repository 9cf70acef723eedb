"""Colours without an entry in the library, as entries."""

from dataclasses import replace

import pytest

from configs.entries import Colour
from configs.library import load_library
from tasks.planning.own_colours import backgrounds_named, colours_named, word_for

LIBRARY = load_library()


def test_a_code_that_an_entry_has_is_that_entry_and_each_comes_once() -> None:
    names = ["red", LIBRARY.colours["red"].hex, "#1a7f5a", "original", "#1a7f5a"]
    found = colours_named(names, LIBRARY)
    assert [one.name for one in found] == ["red", "hex-1a7f5a", "original"]
    assert found[0] is LIBRARY.colours["red"]
    assert [one.name for one in backgrounds_named(["#ffffff", "white", "scene"], LIBRARY)] == ["white", "scene"]


def test_of_two_entries_of_one_code_it_is_the_first() -> None:
    twice = {**LIBRARY.colours, "crimson": Colour(name="crimson", title="Crimson", hex=LIBRARY.colours["red"].hex)}
    assert colours_named([LIBRARY.colours["red"].hex], replace(LIBRARY, colours=twice)) == [LIBRARY.colours["red"]]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("#1a7f5a", "green"), ("#00ff00", "green"), ("#98ff98", "sage"), ("#ff0000", "red"), ("#0000ff", "blue"),
        ("#ffc0cb", "pink"), ("#00ffff", "light blue"), ("#8b4513", "brown"), ("#999999", "grey"), ("#000000", "black"),
        ("#ffffff", "white"), ("#f5efe6", "white"),
    ],
)  # fmt: skip
def test_a_colour_is_called_what_the_nearest_of_the_library_is(code: str, word: str) -> None:
    [colour] = colours_named([code], LIBRARY)
    assert (colour.hex, word_for(colour)) == (code, word)


def test_a_background_may_be_called_what_a_plain_one_or_a_colour_is() -> None:
    titles = [one.title for one in backgrounds_named(["#f5efe6", "#1a7f5a"], LIBRARY)]
    assert titles == ["Cream", "Green"]


def test_a_shops_own_library_has_the_word_for_what_is_near_its_colours() -> None:
    own = {**LIBRARY.colours, "moss": Colour(name="moss", title="Moss", hex="#1a7f5b")}
    [colour] = colours_named(["#1a7f5a"], replace(LIBRARY, colours=own))
    assert (colour.name, word_for(colour)) == ("hex-1a7f5a", "moss")


def test_an_entry_is_called_by_its_name() -> None:
    assert {word_for(colour) for colour in LIBRARY.colours.values()} == {""}
