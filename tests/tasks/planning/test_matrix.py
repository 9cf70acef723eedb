"""Laws of the variant matrix."""

import dataclasses
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.library import load_library
from configs.schema import GenerationConfig, MatrixRule, VariantMatrix
from tasks.generating.drawing import scene_key
from tasks.imaging.pixels import box_of
from tasks.planning.matrix import Drawing, expand
from tasks.techniques import CutOut, Material, composite, find_guided, find_technique
from tests.imaging.pictures import mug, wooden_table

LIBRARY = load_library()
TECHNIQUES = ("regenerate", "restyle", "sketch", "composite", "packshot")
WITH_ADAPTER = ("regenerate", "restyle", "sketch")
DRAWING = Drawing("sks", "a" * 64, "model", ("r" * 64,), 64, 1, controlnet="edges")
GENERATION = GenerationConfig(seed=5)
MUG = Product("mug-1", "Mug", "mug", ("mug/0.png",), category="Home > Kitchen")


def _some(names, most: int = 4):
    return st.lists(st.sampled_from(sorted(names)), min_size=1, max_size=most, unique=True).map(tuple)


def _maybe(names):
    return st.one_of(st.just(()), _some(names, 2))


CODES = ("#1a7f5a", "#f5efe6", LIBRARY.colours["red"].hex, LIBRARY.backgrounds["white"].hex)
rules = st.builds(
    MatrixRule,
    skus=_maybe(["mug-1", "other"]),
    categories=_maybe(["Home > Kitchen", "Garden"]),
    scenes=_maybe([*LIBRARY.scenes, "kitchen", "studio"]),
    colours=_maybe([*LIBRARY.colours, *CODES]),
    backgrounds=_maybe([*LIBRARY.backgrounds, *CODES]),
    techniques=_maybe(TECHNIQUES),
)
matrices = st.builds(
    VariantMatrix,
    scenes=_some([*LIBRARY.scenes, "kitchen", "studio", "all"]),
    colours=_some([*LIBRARY.colours, *CODES]),
    backgrounds=_some([*LIBRARY.backgrounds, *CODES]),
    techniques=_some(TECHNIQUES, 3),
    images=st.integers(1, 3),
    include=st.lists(rules, max_size=2).map(tuple),
    exclude=st.lists(rules, max_size=2).map(tuple),
    limit_per_sku=st.integers(1, 40),
)
laws = settings(max_examples=60)


def _expand(matrix: VariantMatrix, item: Product = MUG) -> list[VariantSpec]:
    return expand(item, matrix, GENERATION, LIBRARY, DRAWING)


def _rule_holds(rule: MatrixRule, spec: VariantSpec) -> bool:
    group = (LIBRARY.scenes[spec.scene].group,) if spec.scene in LIBRARY.scenes else ()
    return (
        (not rule.skus or spec.sku in rule.skus)
        and (not rule.categories or MUG.category in rule.categories)
        and (not rule.scenes or bool({spec.scene, *group} & set(rule.scenes)))
        and (not rule.colours or not {spec.colour, spec.colour_hex}.isdisjoint(rule.colours))
        and (not rule.backgrounds or not {spec.background, spec.background_hex}.isdisjoint(rule.backgrounds))
        and (not rule.techniques or spec.technique in rule.techniques)
    )


@laws
@given(matrices, st.sampled_from(["", "larger"]))
def test_how_large_pictures_may_grow_is_part_of_those_that_show_a_photos_pixels_or_are_enlarged_alone(
    matrix: VariantMatrix, upscaler: str
) -> None:
    drawing = dataclasses.replace(DRAWING, upscaler=upscaler)
    larger = GENERATION.model_copy(update={"side_maximum": 4096})
    for before, after in zip(
        *(expand(MUG, matrix, one, LIBRARY, drawing) for one in (GENERATION, larger)), strict=True
    ):
        assert (before.id == after.id) == (not upscaler and before.technique in ("regenerate", "sketch")), before.name


DRAWN_OTHERWISE = [
    *(
        (GENERATION.model_copy(update=one), DRAWING)
        for one in ({"steps": 7}, {"guidance": 3.5}, {"scheduler": "euler"})
    ),
    *((GENERATION, dataclasses.replace(DRAWING, **one)) for one in ({"base_model": "other"}, {"upscaler": "larger"})),
]


@laws
@given(matrices, st.sampled_from(DRAWN_OTHERWISE))
def test_what_a_model_draws_with_is_part_of_what_it_draws_alone(
    matrix: VariantMatrix, other: tuple[GenerationConfig, Drawing]
) -> None:
    generation, drawing = other
    for before, after in zip(_expand(matrix), expand(MUG, matrix, generation, LIBRARY, drawing), strict=True):
        assert (before.id != after.id) == bool(before.prompt), before.name


@laws
@given(matrices, st.sampled_from([{"references": ("r" * 64, "s" * 64)}, {"renderer_version": 2}, {"resolution": 128}]))
def test_photos_renderer_and_size_are_part_of_every_picture(matrix: VariantMatrix, other: dict[str, Any]) -> None:
    others = expand(MUG, matrix, GENERATION, LIBRARY, dataclasses.replace(DRAWING, **other))
    assert {one.id for one in _expand(matrix)}.isdisjoint(one.id for one in others)


@laws
@given(matrices)
def test_no_product_gets_more_than_the_limit_and_no_image_comes_twice(matrix: VariantMatrix) -> None:
    specs = _expand(matrix)
    assert len(specs) <= matrix.limit_per_sku
    assert len({spec.id for spec in specs}) == len(specs)
    assert len({spec.name for spec in specs}) == len(specs), "two images would claim one slot"


@laws
@given(matrices)
def test_what_is_made_is_included_and_not_excluded(matrix: VariantMatrix) -> None:
    for spec in _expand(matrix):
        assert not matrix.include or any(_rule_holds(rule, spec) for rule in matrix.include)
        assert not any(_rule_holds(rule, spec) for rule in matrix.exclude)


@laws
@given(matrices)
def test_without_a_limit_nothing_that_is_wanted_is_left_out(matrix: VariantMatrix) -> None:
    everything = matrix.model_copy(update={"limit_per_sku": 10_000, "include": (), "exclude": ()})
    wanted = [
        spec.id
        for spec in _expand(everything)
        if (not matrix.include or any(_rule_holds(rule, spec) for rule in matrix.include))
        and not any(_rule_holds(rule, spec) for rule in matrix.exclude)
    ]
    assert {spec.id for spec in _expand(matrix.model_copy(update={"limit_per_sku": 10_000}))} == set(wanted)


@laws
@given(matrices)
def test_a_smaller_limit_makes_the_first_of_the_same(matrix: VariantMatrix) -> None:
    larger = matrix.model_copy(update={"limit_per_sku": matrix.limit_per_sku + 5})
    assert _expand(larger)[: matrix.limit_per_sku] == _expand(matrix)


@laws
@given(matrices)
def test_a_dimension_that_a_technique_does_not_use_is_neutral(matrix: VariantMatrix) -> None:
    for spec in _expand(matrix):
        uses = find_technique(spec.technique).DIMENSIONS
        if "scene" not in uses:
            assert spec.scene not in LIBRARY.scenes
        if "colour" not in uses:
            assert (spec.colour, spec.colour_hex) == ("original", "")
        if "seed" not in uses:
            assert spec.seed == GENERATION.seed
        assert bool(spec.adapter_id) == find_technique(spec.technique).USES_ADAPTER


@laws
@given(matrices)
def test_how_far_a_guide_counts_is_part_of_those_that_it_guides_alone(matrix: VariantMatrix) -> None:
    other = GENERATION.model_copy(update={"restyle_strength": 0.7})
    drawing = dataclasses.replace(DRAWING, controlnet="another")
    for before, restyled, along in zip(
        _expand(matrix),
        expand(MUG, matrix, other, LIBRARY, DRAWING),
        expand(MUG, matrix, GENERATION, LIBRARY, drawing),
        strict=True,
    ):
        assert (before.id != restyled.id) == (before.technique == "restyle")
        assert (before.id != along.id) == (before.technique == "sketch")
        assert (before.strength is None) == (find_guided(before.technique) is None)


def test_a_techniques_own_version_makes_what_it_has_made_anew_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = VariantMatrix(scenes=("wooden-table",), techniques=("restyle", "composite", "packshot"))
    before = {spec.technique: spec for spec in _expand(matrix)}
    monkeypatch.setattr(find_technique("composite"), "VERSION", 99)
    after = {spec.technique: spec for spec in _expand(matrix)}
    assert {name for name in before if before[name].id != after[name].id} == {"composite"}
    assert scene_key(before["composite"]) == scene_key(after["composite"]), "the scene is drawn as it was"


def test_restyle_stands_in_the_scene_of_a_composite_and_is_told_what_regenerate_is() -> None:
    matrix = VariantMatrix(scenes=("wooden-table",), techniques=("restyle", "composite", "regenerate", "sketch"))
    specs = {spec.technique: spec for spec in _expand(matrix)}
    assert specs["restyle"].scene_prompt == specs["composite"].prompt != ""
    assert specs["restyle"].prompt == specs["sketch"].prompt == specs["regenerate"].prompt
    assert specs["sketch"].scene_prompt == ""


@laws
@given(matrices)
def test_before_a_flat_background_there_is_no_scene_and_no_picture_is_drawn_twice(matrix: VariantMatrix) -> None:
    specs = _expand(matrix)
    behind = [one.background_hex or ("#ffffff" if one.technique == "packshot" else "") for one in specs]
    shown = {
        (one.technique, one.prompt, one.colour_hex, hex_, one.seed, one.surface)
        for one, hex_ in zip(specs, behind, strict=True)
    }
    assert len(shown) == len(specs)
    for spec in specs:
        if spec.background_hex:
            assert spec.scene not in LIBRARY.scenes
            assert bool(spec.prompt) == (spec.technique in WITH_ADAPTER)
            assert not spec.scene_prompt


def test_words_that_change_no_photograph_make_no_doubles_of_it() -> None:
    photographed = LIBRARY.scenes["wooden-table"].model_copy(update={"photos": ("a", "b")})
    library = dataclasses.replace(LIBRARY, scenes={"wooden-table": photographed})
    photos = {"wooden-table": ("1" * 64, "2" * 64)}
    drawing = dataclasses.replace(DRAWING, scene_photos=photos, upscaler="larger")
    matrix = VariantMatrix(techniques=("composite", "restyle", "regenerate"), backgrounds=("brick", "scene"), images=3)
    specs = expand(MUG, matrix, GENERATION, library, drawing)
    shown = {name: [one.scene_photo[:1] for one in specs if one.technique == name] for name in matrix.techniques}
    assert shown == {"composite": ["1", "2", "1"], "restyle": ["1", "2", "1"], "regenerate": [""] * 6}
    assert {one.scene_prompt for one in specs} == {""}
    assert {bool(one.prompt) for one in specs if one.technique == "composite"} == {False}
    assert {one.technique for one in specs if one.upscaler} == {"regenerate"}, "a photograph is as large as it is"
    flat = matrix.model_copy(update={"backgrounds": ("sage",)})
    assert {one.scene for one in expand(MUG, flat, GENERATION, library, drawing)} == {"plain"}


def test_where_a_scene_has_its_products_moves_and_scales_them_and_the_usual_place_renames_nothing() -> None:
    matrix = VariantMatrix(scenes=("wooden-table",), techniques=("composite",))
    [usual] = _expand(matrix)
    aside = LIBRARY.scenes["wooden-table"].model_copy(update={"across": 0.3, "size": 0.25, "surface": 0.7})
    [moved] = expand(MUG, matrix, GENERATION, dataclasses.replace(LIBRARY, scenes={"wooden-table": aside}), DRAWING)
    assert (usual.across, usual.size) == (None, None)
    mask = composite.make(moved, Material(wooden_table(200), lambda _: CutOut(*mug(256)))).mask
    rows, columns = box_of(mask)
    side = len(mask)
    assert max(rows.stop - rows.start, columns.stop - columns.start) / side == pytest.approx(0.25, abs=0.01)
    assert (columns.start + columns.stop) / 2 / side == pytest.approx(0.3, abs=0.01)
    assert rows.stop / side == pytest.approx(0.7, abs=0.01)


def test_a_cut_out_stands_once_on_every_flat_background_and_once_on_white() -> None:
    """A background that is a scene's leaves a cut-out white, and there is one white."""
    backgrounds = ("scene", "brick", "light-grey", "sage", "white")
    specs = _expand(VariantMatrix(backgrounds=backgrounds, techniques=("packshot",), colours=("original",)))
    assert [(one.background, one.background_hex) for one in specs] == [
        (name, LIBRARY.backgrounds[name].hex) for name in ("white", "light-grey", "sage")
    ]
    [alone] = _expand(VariantMatrix(backgrounds=("brick",), techniques=("packshot",)))
    assert (alone.background, alone.background_hex) == ("scene", "")


def test_what_is_not_wanted_in_any_picture_and_in_a_scene_is_told_where_the_model_draws() -> None:
    scene = next(name for name, one in LIBRARY.scenes.items() if one.negative_prompt)
    generation = GENERATION.model_copy(update={"negative_prompt": "blurry"})
    specs = expand(MUG, VariantMatrix(scenes=(scene,), techniques=TECHNIQUES), generation, LIBRARY, DRAWING)
    told = {one.technique: one.negative_prompt for one in specs if one.scene in (scene, "plain")}
    both = f"blurry, {LIBRARY.scenes[scene].negative_prompt}"
    assert told == {name: "" if name == "packshot" else both for name in TECHNIQUES}


def test_a_flat_background_is_told_to_the_model_in_words() -> None:
    matrix = VariantMatrix(scenes=("wooden-table",), backgrounds=("scene", "light-grey", "brick"))
    prompts = {spec.background: spec.prompt for spec in _expand(matrix)}
    assert prompts["light-grey"].endswith("sks mug, plain light grey background")
    assert prompts["brick"] == f"{prompts['scene']}, brick wall background"


def test_a_products_own_colour_is_part_of_recoloured_pictures_of_its_photos_alone() -> None:
    matrix = VariantMatrix(scenes=("wooden-table",), colours=("original", "sage"), techniques=TECHNIQUES)
    told = dataclasses.replace(DRAWING, colour_hex="#1a7f5a")
    for drawing, without in zip(
        *(expand(MUG, matrix, GENERATION, LIBRARY, one) for one in (told, DRAWING)), strict=True
    ):
        recoloured = drawing.colour == "sage" and drawing.technique in ("composite", "packshot", "restyle")
        assert drawing.own_colour_hex == ("#1a7f5a" if recoloured else "")
        assert (drawing.id != without.id) == recoloured


def test_colours_by_hex_code_are_variants_like_the_librarys_and_named_without_a_hash() -> None:
    matrix = VariantMatrix(
        scenes=("wooden-table",),
        colours=("#1A7F5A", "#1a7f5a", "original"),
        backgrounds=("#F5EFE6", "scene"),
        techniques=("composite", "packshot"),
        exclude=(MatrixRule(colours=("#1a7f5a",), techniques=("packshot",)),),
    )
    specs = _expand(matrix)
    assert sorted(spec.name for spec in specs) == [
        "plain_hex-1a7f5a_hex-f5efe6_composite_5",
        "plain_original_hex-f5efe6_composite_5",
        "plain_original_hex-f5efe6_packshot_5",
        "plain_original_scene_packshot_5",
        "wooden-table_hex-1a7f5a_scene_composite_5",
        "wooden-table_original_scene_composite_5",
    ]
    assert {(spec.colour_hex, spec.colour_word) for spec in specs} == {("", ""), ("#1a7f5a", "green")}
    assert {spec.background_hex for spec in specs} == {"", "#f5efe6"}


def test_places_that_differ_in_where_alone_are_two_scenes() -> None:
    places = ("beside the tree", "under the tree", "the tree", "on the tree")
    made = _expand(VariantMatrix(scenes=(), places=places, techniques=("regenerate",)))
    assert [spec.scene for spec in made] == ["beside-the-tree", "under-the-tree", "the-tree"]


@laws
@given(matrices)
def test_techniques_take_turns(matrix: VariantMatrix) -> None:
    free = matrix.model_copy(update={"include": (), "exclude": (), "images": 3})
    counts = Counter(spec.technique for spec in _expand(free) if spec.technique != "packshot")
    drawn = [technique for technique in matrix.techniques if technique != "packshot"]
    if len(drawn) == 2:
        assert abs(counts[drawn[0]] - counts[drawn[1]]) <= 1


def test_every_scene_is_shown_before_any_is_shown_twice() -> None:
    scenes = ("garden-grass", "kitchen-counter", "wooden-table", "white-marble")
    matrix = VariantMatrix(scenes=scenes, colours=("original", "sage"), techniques=TECHNIQUES[2:], limit_per_sku=6)
    shown = [spec.scene for spec in _expand(matrix) if spec.technique != "packshot"]
    assert sorted(shown) == sorted(scenes)


def test_a_scene_comes_before_a_flat_background_and_another_colour_before_another_image() -> None:
    backgrounds = VariantMatrix(scenes=("wooden-table",), backgrounds=("sage", "scene"), limit_per_sku=1)
    assert [spec.scene for spec in _expand(backgrounds)] == ["wooden-table"]
    colours = VariantMatrix(scenes=("wooden-table",), colours=("original", "sage"), images=2, limit_per_sku=2)
    assert [(spec.colour, spec.seed) for spec in _expand(colours)] == [("original", 5), ("sage", 5)]


@pytest.mark.parametrize("known", [{"category": "Home > Kitchen"}, {"class_noun": "kitchen jar"}])
def test_scenes_that_do_not_suit_a_product_are_left_out(known: dict[str, str]) -> None:
    shoe = Product("shoe-1", "Shoe", "shoe", ("shoe/0.png",), category="Footwear")
    counter = VariantMatrix(scenes=("kitchen-counter",))
    assert {spec.scene for spec in _expand(counter, shoe)} <= {"plain"}
    assert "kitchen-counter" in {spec.scene for spec in _expand(counter, dataclasses.replace(shoe, **known))}


def test_places_in_words_come_beside_scenes_for_every_product() -> None:
    matrix = VariantMatrix(scenes=("kitchen-counter",), places=("a mossy rock in fog",), limit_per_sku=100)
    shoe = Product("shoe-1", "Shoe", "shoe", ("shoe/0.png",), category="Footwear")
    assert {spec.scene for spec in _expand(matrix)} == {"kitchen-counter", "a-mossy-rock-in-fog"}
    assert {spec.scene for spec in _expand(matrix, shoe)} == {"a-mossy-rock-in-fog"}


@pytest.mark.parametrize("section", ["include", "exclude"])
@pytest.mark.parametrize("category", ["Home > Kitchen", "kitchen"])
def test_a_rule_may_name_categories_by_a_part(section: str, category: str) -> None:
    rules = (MatrixRule(categories=("Garden", category)),)
    matrix = VariantMatrix(scenes=("wooden-table",)).model_copy(update={section: rules})
    shoe = dataclasses.replace(MUG, category="Footwear")
    assert [bool(_expand(matrix, one)) for one in (MUG, shoe)] == [section == "include", section == "exclude"]


@pytest.mark.parametrize("section", ["include", "exclude"])
def test_a_rule_may_name_a_group_of_scenes(section: str) -> None:
    matrix = VariantMatrix(scenes=("kitchen", "outdoor"), limit_per_sku=100)
    ruled = matrix.model_copy(update={section: (MatrixRule(scenes=("kitchen",)),)})
    groups = {LIBRARY.scenes[spec.scene].group for spec in _expand(ruled)}
    assert groups == ({"kitchen"} if section == "include" else {"outdoor"})


def test_a_huge_matrix_costs_nothing_for_a_product_that_no_rule_includes() -> None:
    rules = (MatrixRule(skus=("mug-2",)), MatrixRule(categories=("Garden",), scenes=("wooden-table",)))
    matrix = VariantMatrix(
        colours=tuple(LIBRARY.colours), backgrounds=tuple(LIBRARY.backgrounds), images=100, include=rules
    )
    assert [_expand(matrix) for _ in range(500)] == [[]] * 500  # all of it would be hours


def test_a_huge_matrix_costs_no_more_than_what_is_taken_of_it() -> None:
    matrix = VariantMatrix(
        colours=tuple(LIBRARY.colours), backgrounds=tuple(LIBRARY.backgrounds), images=100, limit_per_sku=20
    )
    assert [len(_expand(matrix)) for _ in range(50)] == [20] * 50  # all of it would be hours


@laws
@given(st.text(max_size=30), st.text(min_size=1, max_size=20))
def test_catalog_text_reaches_a_prompt_as_it_is(title: str, noun: str) -> None:
    item = Product("s", title, noun, ("x",))
    for spec in _expand(VariantMatrix(scenes=("wooden-table",), limit_per_sku=1), item):
        assert f"sks {noun}" in spec.prompt
