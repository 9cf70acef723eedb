"""The demo studio: the same seed gives the same photograph, and masks tell exactly where the product is."""

from dataclasses import replace

import numpy as np
import pytest

from infra.demo.materials import COLOURS, MARKS, PATTERNS, Label
from infra.demo.products import build, classes, random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import random_shots, shoot

SIZE = 64


def _spec(noun, seed=3, colour="red"):
    return random_product(np.random.default_rng([seed, 5]), noun, colour)


def test_the_same_seed_gives_the_same_photograph_and_another_seed_another():
    first, again, other = (shoot(_spec("mug"), SCENES["wooden_table"], seed, SIZE) for seed in (5, 5, 6))
    assert np.array_equal(first.photograph.image, again.photograph.image)
    assert first.captions == again.captions
    assert not np.array_equal(first.photograph.image, other.photograph.image)


@pytest.mark.parametrize("noun", sorted(classes()))
def test_every_class_stands_in_the_frame_with_a_mask_of_reasonable_size(noun):
    mask = shoot(_spec(noun), SCENES["white_studio"], 4, SIZE).photograph.mask
    assert mask.min() == 0.0
    assert mask.max() == 1.0
    assert 0.03 < mask.mean() < 0.6
    assert max(mask[0].max(), mask[:, 0].max(), mask[:, -1].max()) == 0.0, "the product is cut off by the frame"


def test_repainting_the_product_changes_pixels_inside_the_mask_and_nowhere_else():
    spec = replace(_spec("mug"), finish="matte", pattern=None, label=None)
    red = shoot(spec, SCENES["marble_table"], 9, SIZE).photograph
    blue = shoot(replace(spec, colour="blue"), SCENES["marble_table"], 9, SIZE).photograph
    changed = (red.image != blue.image).any(-1)
    assert np.array_equal(red.mask, blue.mask)
    assert not changed[red.mask == 0].any()
    assert changed[red.mask == 1].mean() > 0.99


def test_an_empty_scene_shows_no_product_and_says_so():
    shot = shoot(None, SCENES["kitchen"], 3, SIZE)
    assert shot.photograph.mask.max() == 0
    assert all("empty" in c for c in shot.captions)


def test_captions_name_the_colour_and_the_class_that_were_photographed():
    for shot in random_shots(12, 6, SIZE, empty=0.0):
        assert all(shot.product.class_noun in c for c in shot.captions)
        assert any(shot.product.colour in c for c in shot.captions)


def test_a_red_product_is_red_inside_its_mask():
    spec = replace(_spec("bowl"), finish="matte", pattern=None, label=None, genes=(0.5,) * 12)
    photo = shoot(spec, SCENES["white_studio"], 2, SIZE, mood="studio lighting").photograph
    r, g, b = photo.image[photo.mask > 0.9].mean(0)
    assert r > 1.8 * g
    assert r > 1.8 * b


def test_every_pattern_shows():
    spec = replace(_spec("vase"), finish="matte", label=None, accent="white")
    shots = [
        shoot(replace(spec, pattern=pattern), SCENES["white_studio"], 2, 48).photograph.image.tobytes()
        for pattern in (None, *PATTERNS)
    ]
    assert len(set(shots)) == len(PATTERNS) + 1


def test_labels_with_different_marks_look_different():
    spec = replace(_spec("can", colour="white"), pattern=None, finish="satin")
    shots = [
        shoot(
            replace(spec, label=Label(m, "", "#202020", None)), SCENES["white_studio"], 2, SIZE
        ).photograph.image.tobytes()
        for m in MARKS
    ]
    assert len(set(shots)) == len(MARKS)


def test_there_are_scenes_and_classes_enough():
    assert len(classes()) >= 14
    assert len(SCENES) >= 30
    assert len(COLOURS) >= 12
    assert all(scene.places and scene.backgrounds and scene.empty for scene in SCENES.values())


def test_a_solid_can_be_photographed_again_without_building_it_anew():
    spec = _spec("teapot")
    fresh = shoot(spec, SCENES["linen"], 8, 48).photograph.image
    assert np.array_equal(fresh, shoot(spec, SCENES["linen"], 8, 48, build(spec)).photograph.image)
