"""Presets: what a run is told, and what is said of faults in it."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from catalog_schemas.errors import ConfigError
from configs.library import load_library
from configs.preset import load_preset, unknown_names
from configs.schema import ModelConfig, RunConfig, SegmenterConfig, VariantMatrix
from configs.training import TrainingConfig
from tests.configs.files import faults, written

LIBRARY = load_library()
SCENE = "{name}: {{title: M, prompt: p, empty_prompt: e, group: outdoor}}"


def test_a_preset_on_top_of_another_says_only_what_differs(tmp_path):
    text = "model: {segmenter: {source: net.onnx}}\ngeneration: {steps: 12}\nchannels: [web, instagram-square]\n"
    mine = written(tmp_path / "mine.yaml", f"base: sd15\n{text}")
    shipped, config = load_preset("sd15"), load_preset(mine)
    assert config.model == shipped.model.model_copy(update={"segmenter": SegmenterConfig(source="net.onnx")})
    assert config.generation == shipped.generation.model_copy(update={"steps": 12})
    assert config.channels == ("web", "instagram-square")
    same = {"model", "generation", "channels"}
    assert config.model_dump(exclude=same) == shipped.model_dump(exclude=same)


def test_a_model_of_one_s_own_takes_no_revision_of_the_base_s(tmp_path):
    config = load_preset(written(tmp_path / "mine.yaml", "base: sd15\nmodel: {source: /models/ours}\n"))
    assert config.model == ModelConfig(source="/models/ours")
    assert config.training == load_preset("sd15").training


def test_a_base_is_looked_for_beside_its_file_and_its_library_beside_the_base(tmp_path, monkeypatch):
    written(tmp_path / "house" / "own" / "scenes" / "x.yaml", SCENE.format(name="moon"))
    written(tmp_path / "house" / "all.yaml", "base: sd15\nlibrary: [own]\nvariants: {scenes: [moon], images: 2}\n")
    spring = written(tmp_path / "spring" / "mine.yaml", "base: ../house/all.yaml\nvariants: {images: 3}\n")
    monkeypatch.chdir("/")
    config = load_preset(spring)
    assert (config.variants.scenes, config.variants.images) == (("moon",), 3)
    assert config.training == load_preset("sd15").training
    written(tmp_path / "spring" / "more" / "scenes" / "x.yaml", SCENE.format(name="sun"))
    written(spring, "base: ../house/all.yaml\nlibrary: [more]\nvariants: {scenes: [sun]}\n")
    assert load_preset(spring).library == (str(tmp_path / "spring" / "more"),), "a list is taken as a whole"


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("sd51", "sd51: no such preset (did you mean 'sd15'?)"),
        ("other.yaml", "other.yaml: no such preset"),
        (
            "[sd15, demo]",
            "mine.yaml: base: expected the name of a preset or the path of a YAML file, got ['sd15', 'demo']",
        ),
        ("", "mine.yaml: base: expected the name of a preset or the path of a YAML file, got None"),
        ("mine.yaml", "mine.yaml: base: mine.yaml is built on this file itself"),
        ("../here/mine.yaml", "mine.yaml: base: ../here/mine.yaml is built on this file itself"),
        ("round.yaml", "round.yaml: base: ../here/mine.yaml is built on this file itself"),
    ],
)
def test_a_base_that_cannot_be_had_is_refused(base, said, tmp_path):
    written(tmp_path / "here" / "round.yaml", "base: ../here/mine.yaml\n")
    assert said in faults(load_preset, written(tmp_path / "here" / "mine.yaml", f"base: {base}\n"))


def test_a_preset_without_a_model_hears_of_bases(tmp_path):
    said = faults(load_preset, written(tmp_path / "mine.yaml", "bse: sd15\n"))
    assert "names its base, such as base: sd15" in said
    assert "model: missing" in said
    assert "base" not in faults(load_preset, written(tmp_path / "mine.yaml", "model: {}\n"))


def test_faults_of_a_preset_on_top_of_another_are_told_as_any(tmp_path):
    mine = written(tmp_path / "mine.yaml", "base: sd15\ntraining: {rnk: 8}\nvariants: {scenes: [wooden-tabel]}\n")
    said = faults(load_preset, mine)
    assert "training.rnk: no such key (did you mean 'rank'?)" in said
    assert "'wooden-tabel' (did you mean 'wooden-table'?)" in said


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"steps_minimum": 5, "steps_maximum": 4}, "steps_minimum 5 is above steps_maximum 4"),
        ({"tokens": 2}, "tokens 2 needs method"),
        ({"tokens": 2, "method": "dreambooth"}, "tokens 2 needs method"),
        ({"text_encoder": True, "method": "textual-inversion"}, "text_encoder needs method"),
        ({"start_from": "class", "method": "pivotal"}, "start_from 'class' needs method none"),
        ({"class_edition": 1}, "class_edition needs start_from"),
        ({"evaluation": {}, "method": "dreambooth"}, "evaluation needs a method"),
    ],
)
def test_a_recipe_whose_settings_do_not_go_together_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        TrainingConfig(**changes)
