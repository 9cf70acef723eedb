import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.library import GROUPS, load_library
from tests.configs.files import faults, written

LIBRARY = load_library()


def test_the_shipped_library_has_what_a_run_can_choose_from():
    assert len(LIBRARY.scenes) >= 24
    assert {scene.group for scene in LIBRARY.scenes.values()} == set(GROUPS)
    assert {scene.season for scene in LIBRARY.scenes.values()} >= {"spring", "summer", "autumn", "winter"}
    assert sum(bool(colour.hex) for colour in LIBRARY.colours.values()) >= 16
    assert not LIBRARY.colours["original"].hex
    assert len(LIBRARY.backgrounds) >= 8
    assert LIBRARY.backgrounds["white"].hex == "#ffffff"
    assert LIBRARY.backgrounds["scene"].hex == LIBRARY.backgrounds["scene"].prompt == ""
    assert {"web", "amazon-main", "google-merchant", "walmart", "ebay", "etsy", "shopify"} <= set(LIBRARY.channels)
    assert all(channel.source for channel in LIBRARY.channels.values())


def test_prompts_complete_a_sentence_and_empty_ones_name_no_product():
    for scene in LIBRARY.scenes.values():
        assert scene.prompt.split()[0] in {"on", "in", "beside"}, scene.name
        assert len(f"{scene.prompt} {scene.empty_prompt}".split()) < 40
        assert not scene.prompt.endswith(".")


def test_names_are_keys_and_entries_are_distinct():
    for entries in (LIBRARY.scenes, LIBRARY.backgrounds, LIBRARY.colours, LIBRARY.channels):
        assert all(name == entry.name for name, entry in entries.items())
    prompts = [scene.prompt for scene in LIBRARY.scenes.values()]
    assert len(set(prompts)) == len(prompts)
    hexadecimals = [colour.hex for colour in LIBRARY.colours.values()]
    assert len(set(hexadecimals)) == len(hexadecimals)


@pytest.mark.parametrize(
    ("category", "noun", "suits", "not_suits"),
    [
        ("Kitchen > Tea", "teapot", "kitchen-counter", "city-street"),
        ("Shoes", "sneaker", "city-street", "kitchen-counter"),
        ("Accessories > Eyewear", "sunglasses", "dressing-table", "bathroom-shelf"),
        ("", "coffee mugs", "breakfast-table", "bathroom-shelf"),
        ("Knives", "", "kitchen-counter", "city-street"),
        ("Unheard of", "gizmo", "white-sweep", "kitchen-counter"),
    ],
)
def test_scenes_suit_the_words_of_a_product(category, noun, suits, not_suits):
    names = {scene.name for scene in LIBRARY.scenes_for(category, noun)}
    assert suits in names
    assert not_suits not in names


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_product_has_scenes(category, noun):
    assert len(LIBRARY.scenes_for(category, noun)) >= 8


def test_scenes_are_named_singly_by_group_or_all_and_come_once_in_library_order():
    studio = [scene.name for scene in LIBRARY.scenes_named(["studio"])]
    assert studio == [name for name, scene in LIBRARY.scenes.items() if scene.group == "studio"]
    mixed = [scene.name for scene in LIBRARY.scenes_named(["white-sweep", "studio", "wooden-table"])]
    assert mixed == [*studio, "wooden-table"]
    assert LIBRARY.scenes_named(["all"]) == tuple(LIBRARY.scenes.values())
    assert "did you mean 'wooden-table'" in faults(LIBRARY.scenes_named, ["woden-table"])


def test_one_new_file_adds_a_scene_and_replaces_one_by_name(tmp_path):
    written(
        tmp_path / "scenes" / "outdoor.yaml",
        "moon: {title: Moon, prompt: on the moon, empty_prompt: an empty moon}\n"
        "beach-sand: {title: Our beach, prompt: on our beach, empty_prompt: our empty beach}\n",
    )
    library = load_library(tmp_path)
    assert library.scenes["moon"].group == "outdoor"
    assert library.scenes["beach-sand"].title == "Our beach"
    assert len(library.scenes) == len(LIBRARY.scenes) + 1
    assert library.channels == LIBRARY.channels


def test_every_fault_in_every_file_is_reported_at_once(tmp_path):
    written(
        tmp_path / "scenes" / "a.yaml", "moon: {title: Moon, promt: on the moon, group: studioo, surface: 3}\nmars: 3\n"
    )
    written(tmp_path / "scenes" / "b.yaml", "x: {title: X}\nx: {title: X}\n")
    written(tmp_path / "scenes" / "c.yaml", "moon: {title: Moon, prompt: p, empty_prompt: e, group: studio}")
    written(tmp_path / "colours.yaml", "red: {title: Red, hex: '#GG0000'}\n")
    written(tmp_path / "backgrounds.yaml", "- list\n")
    written(tmp_path / "channels" / "shop.yaml", "shop: {title: Shop, format: gif}\n: bad\n{")
    said = faults(load_library, tmp_path, tmp_path / "nowhere")
    for expected in (
        "a.yaml: moon: promt: no such key (did you mean 'prompt'?)",
        "a.yaml: moon: prompt: missing",
        "a.yaml: moon: group:",
        "a.yaml: moon: surface:",
        "a.yaml: mars: expected fields",
        "b.yaml: not readable as YAML: the key 'x' comes twice",
        "c.yaml: moon: already defined in a.yaml",
        "colours.yaml: red: hex:",
        "backgrounds.yaml: expected names with their fields",
        "shop.yaml: not readable as YAML",
        "nowhere: no such folder",
    ):
        assert expected in said


def test_yaml_cannot_make_objects(tmp_path):
    written(tmp_path / "colours.yaml", "red: !!python/object/apply:os.system ['true']\n")
    assert "not readable as YAML" in faults(load_library, tmp_path)


def test_a_scenes_photographs_are_found_from_anywhere(tmp_path):
    text = "{name}: {{title: A, group: table, prompt: a, photos: [photos/a.png, s3://bucket/b.png]}}\n"
    for folder in ("one", "two"):
        written(tmp_path / folder / "scenes" / "table.yaml", text.format(name=folder))
    scenes = load_library(tmp_path / "one", tmp_path / "two").scenes
    for folder in ("one", "two"):
        assert scenes[folder].photos == (str(tmp_path / folder / "photos" / "a.png"), "s3://bucket/b.png")


def test_an_image_depends_on_neither_what_people_call_a_channel_nor_where_a_scenes_photographs_lie():
    """Nor on what came later and is as it was: all that is older keeps its identity."""
    scene, channel = LIBRARY.scenes["wooden-table"], LIBRARY.channels["web"]
    assert not {"photos", "across", "size"} & scene.rules.keys()
    moved = scene.model_copy(update={"photos": ("elsewhere.jpg",)})
    assert moved.rules == scene.rules
    for field in ("across", "size", "surface"):
        assert scene.model_copy(update={field: 0.4}).rules != scene.rules
    assert channel.model_copy(update={"title": "Shop", "source": "rules.html"}).rules == channel.rules
    assert channel.model_copy(update={"quality": 91}).rules != channel.rules


def test_a_scene_for_a_category_of_two_words_suits_no_product_that_has_one_of_them(tmp_path):
    text = "{garage: {title: Garage, prompt: in a garage, empty_prompt: an empty garage, categories: [toy car]}}"
    written(tmp_path / "scenes" / "own.yaml", text)
    library = load_library(tmp_path)
    suits = {
        category: "garage" in {one.name for one in library.scenes_for(category, "")}
        for category in ("Toys > Cars", "Car Seats")
    }
    assert suits == {"Toys > Cars": True, "Car Seats": False}
