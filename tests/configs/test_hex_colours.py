"""Colours by their hex codes have one spelling each."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.hex_colours import LISTED, hex_colour, hex_colours


@pytest.mark.parametrize("text", ["#1a7f5a", "#1A7F5A", "1a7f5a"])
def test_spellings_of_one_colour_are_one(text: str) -> None:
    assert hex_colour(text) == "#1a7f5a"


def test_a_short_number_is_the_long_one_of_doubled_digits() -> None:
    assert hex_colour("#aBc") == "#aabbcc"


@pytest.mark.parametrize("text", ["", "#", "#12", "#1234", "#1a7f5a80", "##abc", "#ggg", " #abc", "#abc\n", "#１２３"])
def test_what_is_no_colour_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a colour such as #1a7f5a or #abc"):
        hex_colour(text)


def test_a_person_may_type_several() -> None:
    assert hex_colours(" #1A7F5A, abc;\n#f5efe6 ") == ["#1a7f5a", "#aabbcc", "#f5efe6"]
    assert hex_colours(" ") == []
    with pytest.raises(ValueError, match="or #abc, got 'green'"):
        hex_colours("#1a7f5a, green")


typed = st.one_of(st.text("#aF3g ,;\n", max_size=24), st.text(max_size=12))


@given(typed)
def test_a_form_that_knows_the_pattern_refuses_what_a_run_would(text: str) -> None:
    try:
        hex_colours(text)
    except ValueError:
        assert not re.search(LISTED, text)
    else:
        assert re.search(LISTED, text)
