import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas.adapter import AdapterSpec
from tasks.storage.keys import adapter_key, check_key, is_unfinished, safe_name, text_of

HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "a\\b",
    "%2e%2e",
    ".tmp-1",
    "a?b#c",
    "\x00",
    "\n",
    "ü",
    "\U0001d518",
    "A",
    "a",
    "%",
]


@given(st.text())
def test_a_safe_name_is_one_part_of_a_key_and_gives_its_text_back(text: str) -> None:
    name = safe_name(text)
    assert re.fullmatch(r"[A-Za-z0-9._%-]+", name)
    assert check_key(f"images/{name}/web") == f"images/{name}/web"
    assert text_of(name) == text


@given(st.text(), st.text())
def test_different_texts_have_different_names(one: str, other: str) -> None:
    assert (safe_name(one) == safe_name(other)) == (one == other)


def test_hostile_skus_have_harmless_names() -> None:
    names = [safe_name(text) for text in HOSTILE]
    assert len(set(names)) == len(HOSTILE)
    assert all(check_key(name) == name and not name.startswith(".") for name in names)
    assert safe_name("MUG-001_blue.v2") == "MUG-001_blue.v2"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "..",
        ".",
        "a/.",
        "a?b",
        "a#b",
        "a*",
        "a[1]",
        "a\\b",
        "a\nb",
        "a\x00",
        "ü",
        "a/.tmp-x",
    ],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(AssertionError, match="not a store key"):
        check_key(key)


def test_the_longest_class_noun_names_a_folder_that_any_file_system_takes() -> None:
    keys = {adapter_key(AdapterSpec("", noun, "model", (), "{}", 1)) for noun in ("mug", "茶" * 80, "茶" * 79 + "壶")}
    assert len(keys) == 3, "the adapter's id tells cut names apart"
    assert all(check_key(key) and max(map(len, key.split("/"))) <= 255 for key in keys)


def test_a_class_has_a_folder_that_says_so() -> None:
    adapters = [AdapterSpec(sku, "mug", "model", (), "{}", 1) for sku in ("", "mug")]
    assert [adapter_key(one).split("/")[1] for one in adapters] == ["class%20mug", "mug"]


def test_what_is_being_written_is_told_by_its_name_whoever_writes_it() -> None:
    names = (".tmp-1", "00000000000000000001.json#1", "00000000000000000001.json", "a.tmp-1")
    assert [is_unfinished(name) for name in names] == [True, True, False, False]
