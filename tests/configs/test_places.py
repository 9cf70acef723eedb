"""Places in words of one's own become scenes in the style of the library's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.library import load_library
from configs.places import LONGEST, scene_at


@pytest.mark.parametrize(
    ("words", "name", "prompt", "empty"),
    [
        ("a mossy rock in fog", "a-mossy-rock-in-fog", "on a mossy rock in fog", "an empty mossy rock in fog"),
        ("  the beach,\n at sunset ", "the-beach-at-sunset", "on the beach, at sunset", "the empty beach, at sunset"),
        ("In the snow", "in-the-snow", "In the snow", "the empty snow"),
        ("on the beach", "the-beach", "on the beach", "the empty beach"),
        ("white sand", "white-sand", "on white sand", "empty white sand"),
        ("On", "on", "on On", "empty On"),
        ("Café «Süd»", "cafe-sud", "on Café «Süd»", "empty Café «Süd»"),
    ],
)
def test_a_place_is_told_with_and_without_a_product(words: str, name: str, prompt: str, empty: str) -> None:
    scene = scene_at(words)
    assert (scene.name, scene.prompt, scene.empty_prompt) == (name, prompt, empty)
    assert scene.title == " ".join(words.split())


@given(st.text(max_size=LONGEST + 20))
def test_any_words_are_a_scene_or_refused(words: str) -> None:
    try:
        scene = scene_at(words)
    except ValueError as fault:
        assert "expected a place in 1 to 200 letters" in str(fault)  # noqa: PT017
        return
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", scene.name)
    assert len(scene.name) <= 48
    assert scene.prompt.isprintable()
    assert scene_at(scene.title) == scene


def test_a_place_has_no_more_letters_than_a_model_reads() -> None:
    assert scene_at("x" * LONGEST).title == "x" * LONGEST
    with pytest.raises(ValueError, match="got 201"):
        scene_at("x" * (LONGEST + 1))


def test_places_that_differ_in_letters_that_are_not_latin_alone_are_two_scenes() -> None:
    names = [scene_at(words).name for words in ("пляж, 4K", "лес, 4K", "4K")]
    assert names[2] == "4k"
    assert all(re.fullmatch("4k-[0-9a-f]{8}", name) for name in names[:2])
    assert names[0] != names[1]


def test_a_name_that_is_taken_or_cut_off_is_made_its_own() -> None:
    library = load_library().scenes
    assert re.fullmatch("wooden-table-[0-9a-f]{8}", scene_at("wooden table", library).name)
    long = [f"a place that is told of in so many words that its name would be long, number {one}" for one in "12"]
    names = {scene_at(words).name for words in long}
    assert len(names) == 2
    assert {name[:20] for name in names} == {"a-place-that-is-told"}
    assert re.fullmatch("place-[0-9a-f]{8}", scene_at("森の中").name)
