from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas.errors import ConfigError
from configs.library import GROUPS, load_library
from configs.preset import load_preset, unknown_names
from configs.schema import ModelConfig, RunConfig, VariantMatrix

LIBRARY = load_library()


def faults(call, *arguments) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


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


def test_a_preset_is_read_from_a_path(tmp_path):
    path = written(tmp_path / "mine.yaml", "model: {source: folder}\nvariants: {scenes: [studio, beach-sand]}\n")
    config = load_preset(path)
    assert config.model.source == "folder"
    assert config.variants.scenes == ("studio", "beach-sand")


def test_a_preset_reports_unknown_keys_and_wrong_values_together(tmp_path):
    path = written(
        tmp_path / "mine.yaml",
        "model: {source: a, revison: b}\ntraining: {rank: 0}\nvariants: {include: [{scene: [a]}]}\nchannel: [web]\n",
    )
    said = faults(load_preset, path)
    for expected in (
        "model.revison: no such key (did you mean 'revision'?)",
        "training.rank: Input should be greater than or equal to 1, got 0",
        "variants.include.0.scene: no such key (did you mean 'scenes'?)",
        "channel: no such key (did you mean 'channels'?)",
    ):
        assert expected in said


def test_a_preset_may_name_only_what_the_library_holds(tmp_path):
    text = """
model: {source: a}
channels: [amazon]
variants:
  scenes: [woden-table]
  colours: [blak]
  backgrounds: [wite]
  include: [{scenes: [kitchen], colours: [blak]}]
  exclude: [{backgrounds: [nothing-like-it]}]
"""
    said = faults(load_preset, written(tmp_path / "mine.yaml", text))
    for expected in (
        "channels: no channel 'amazon' (did you mean 'amazon-main'?)",
        "variants.scenes: no scene or group of scenes 'woden-table' (did you mean 'wooden-table'?)",
        "variants.colours: no colour or #rrggbb 'blak' (did you mean 'black'?)",
        "variants.backgrounds: no background or #rrggbb 'wite' (did you mean 'white'?)",
        "variants.include.0.colours: no colour or #rrggbb 'blak'",
        "variants.exclude.0.backgrounds: no background or #rrggbb 'nothing-like-it'",
    ):
        assert expected in said
    assert "kitchen" not in said


def test_a_preset_may_name_colours_by_their_hex_codes(tmp_path):
    text = "model: {source: a}\nvariants: {colours: [red, '#ABC'], exclude: [{backgrounds: ['#F5efe6']}]}\n"
    matrix = load_preset(written(tmp_path / "mine.yaml", text)).variants
    assert (matrix.colours, matrix.exclude[0].backgrounds) == (("red", "#aabbcc"), ("#f5efe6",))
    for wrong, said in (
        ("'#12'", "variants.colours.0: Value error, expected a colour such as #1a7f5a or #abc, got '#12'"),
        ("1A7F5A", "variants.colours: no colour or #rrggbb '1A7F5A' (did you mean '#1A7F5A'?)"),
        ("rgb(1 2 3)", "variants.colours: no colour or #rrggbb 'rgb(1 2 3)'"),
    ):
        text = f"model: {{source: a}}\nvariants: {{colours: [{wrong}]}}\n"
        assert said in faults(load_preset, written(tmp_path / "mine.yaml", text))


def test_lists_are_asked_for_as_lists_and_a_models_side_as_one_that_it_can_draw(tmp_path):
    path = written(tmp_path / "mine.yaml", "model: {source: a, resolution: 500}\nvariants: {scenes: kitchen}\n")
    said = faults(load_preset, path)
    assert "variants.scenes: expected a list, such as [kitchen], got 'kitchen'" in said
    assert "model.resolution: Input should be a multiple of 8, got 500" in said


def test_bounds_that_no_value_keeps_and_colours_that_yaml_took_for_comments_are_refused(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text("checks: [{name: contrast, minimum: 9, maximum: 3}]\nvariants: {colours: [\n#f5efe6\nnull]}\n")
    with pytest.raises(ConfigError) as caught:
        load_preset(str(preset))
    assert "checks.0: Value error, no value is 9 or more and 3 or less; swap the two" in str(caught.value)
    assert "variants.colours.0: empty; what begins with # needs quotes" in str(caught.value)


def test_a_channel_or_technique_that_is_named_twice_counts_once(tmp_path):
    text = "model: {source: a}\nchannels: [web, etsy, web]\nvariants: {techniques: [packshot, packshot]}\n"
    config = load_preset(written(tmp_path / "mine.yaml", text))
    assert (config.channels, config.variants.techniques) == (("web", "etsy"), ("packshot",))


def test_techniques_are_looked_up_wherever_they_are_named(tmp_path):
    """A check of a mistyped technique would judge nothing, and a channel would admit nothing."""
    written(tmp_path / "own" / "channels" / "shop.yaml", "shop: {title: Shop, techniques: [packshoot]}")
    text = """
model: {source: a}
checks: [{name: label, minimum: 0.7, techniques: [sketch, regenrate]}]
channels: [web, shop]
library: [own]
"""
    path = written(tmp_path / "mine.yaml", text)
    said = faults(lambda: load_preset(path, techniques=["regenerate", "packshot", "sketch"]))
    assert said.count("\n") == 2
    assert "checks.0.techniques: no technique 'regenrate' (did you mean 'regenerate'?)" in said
    assert "channel shop: no technique 'packshoot' (did you mean 'packshot'?)" in said


def test_every_fault_of_a_preset_is_said_at_once_whatever_kind_it_is(tmp_path):
    text = """
model: {source: a}
trainning: {rank: 8}
variants: {scenes: [woden-table], techniques: [composit], images: lots, include: [{techniques: [scetch]}]}
checks: [{name: contrst}]
channels: [webb]
library: [nowhere]
"""
    path = written(tmp_path / "mine.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_preset(path, checks=["contrast"], techniques=["composite", "sketch"])
    assert [line.removeprefix(f"  - {path}: ") for line in str(caught.value).splitlines()] == [
        "The preset cannot be used:",
        "variants.images: Input should be a valid integer, unable to parse string as an integer, got 'lots'",
        "trainning: no such key (did you mean 'training'?)",
        f"  - {tmp_path / 'nowhere'}: no such folder; expected one with scenes/, channels/ or their like in it",
        "channels: no channel 'webb' (did you mean 'web'?)",
        "variants.scenes: no scene or group of scenes 'woden-table' (did you mean 'wooden-table'?)",
        "checks: no check 'contrst' (did you mean 'contrast'?)",
        "variants.techniques: no technique 'composit' (did you mean 'composite'?)",
        "variants.include.0.techniques: no technique 'scetch' (did you mean 'sketch'?)",
    ]


def test_a_users_own_library_makes_its_names_known(tmp_path):
    written(tmp_path / "scenes" / "x.yaml", "moon: {title: M, prompt: p, empty_prompt: e, group: outdoor}")
    path = written(tmp_path / "mine.yaml", "model: {source: a}\nvariants: {scenes: [moon]}\n")
    assert "moon" in faults(load_preset, path)
    written(path, path.read_text() + "library: [.]\n")
    assert load_preset(path).variants.scenes == ("moon",)


def test_a_shipped_presets_own_library_is_found_from_anywhere_and_in_a_copy_of_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = load_preset("demo")
    scenes = load_library(*shipped.library).scenes
    assert all(Path(photo).is_file() for photo in scenes["blossom-table"].photos)
    copy = written(tmp_path / "mine.yaml", yaml.safe_dump(shipped.model_dump(mode="json")))
    assert load_preset(copy).library == shipped.library == ("infra/demo/library",)


def test_a_scenes_photographs_are_found_from_anywhere(tmp_path):
    text = "{name}: {{title: A, group: table, prompt: a, photos: [photos/a.png, s3://bucket/b.png]}}\n"
    for folder in ("one", "two"):
        written(tmp_path / folder / "scenes" / "table.yaml", text.format(name=folder))
    scenes = load_library(tmp_path / "one", tmp_path / "two").scenes
    for folder in ("one", "two"):
        assert scenes[folder].photos == (str(tmp_path / folder / "photos" / "a.png"), "s3://bucket/b.png")


def test_a_library_is_looked_for_beside_the_file_that_names_it(tmp_path, monkeypatch):
    written(tmp_path / "own" / "scenes" / "x.yaml", "moon: {title: M, prompt: p, empty_prompt: e, group: outdoor}")
    written(tmp_path / "mine.yaml", "model: {source: a}\nlibrary: [own]\nvariants: {scenes: [moon]}\n")
    monkeypatch.chdir(tmp_path)
    assert load_preset("./mine.yaml").library == load_preset(tmp_path / "mine.yaml").library == (str(tmp_path / "own"),)
    monkeypatch.chdir("/")
    assert load_preset(tmp_path / "mine.yaml").variants.scenes == ("moon",)


def test_a_config_built_in_code_is_checked_by_the_same_rule():
    config = RunConfig(model=ModelConfig(source="a"), variants=VariantMatrix(scenes=("all", "kitchen")))
    assert unknown_names(config, LIBRARY) == []


@pytest.mark.parametrize("name", ["no-such-preset", "no/such/file.yaml"])
def test_a_missing_preset_says_what_was_looked_for(name):
    assert f"{name}: no such preset" in faults(load_preset, name)


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    for text in ("- a\n", "1: a\n", "{", "a: *nothing\n"):
        assert "mine.yaml" in faults(load_preset, written(tmp_path / "mine.yaml", text))
    assert "model: missing" in faults(load_preset, written(tmp_path / "mine.yaml", ""))
