"""Restyle and sketch in a run: what they are drawn over and along, and what becomes of one that cannot be."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from catalog_schemas.errors import ConfigError
from tasks.engine import rendering
from tasks.engine.rendering import RenderRequest
from tasks.imaging.marking import read_marks
from tasks.techniques import restyle
from tests.flows.shop import Shop
from tests.models.tiny import build_tiny_clip

TECHNIQUES = ["restyle", "sketch", "composite", "regenerate"]
ONE_SCENE = {"scenes": ["wooden-table"], "colours": ["original"], "techniques": TECHNIQUES}


@pytest.fixture
def guided(shop: Shop, controlnet: Path) -> Shop:
    """A shop with a ControlNet, and two products."""
    for number in range(2):
        shop.add(f"sku-{number}", number)
    shop.changes = {"model": {"controlnet": str(controlnet)}, "variants": ONE_SCENE}
    return shop


def test_each_is_guided_by_its_product_and_published_as_what_it_is(guided: Shop, drawn: list[RenderRequest]) -> None:
    guided.changes["variants"] = ONE_SCENE | {"backgrounds": ["scene", "sage"], "limit_per_sku": 8}
    assert guided.run().record.images_published == 16
    scenes = [one for one in drawn if not one.adapter]
    assert len(scenes) == 1, "restyle stands in the composite's scene"
    assert scenes[0].guide is None
    over = [one.guide for one in drawn if one.guide and one.guide.controlnet is None]
    along = [one.guide for one in drawn if one.guide and one.guide.controlnet is not None]
    assert (len(over), len(along), len(drawn)) == (4, 4, 13)
    assert {guide.picture.shape for guide in over + along} == {(64, 64, 3)}
    assert all(set(np.unique(guide.picture)) == {0, 255} for guide in along)
    assert len({guide.picture.tobytes() for guide in over}) == 4
    assert len({guide.picture.tobytes() for guide in along}) >= 2, "each has its own product's edges"
    assert {guide.strength for guide in over} == {0.5}
    for row in guided.live():
        source = "generated" if row["technique"] in ("sketch", "regenerate") else "composite"
        if row["technique"] == "composite" and row["scene"] == "plain":
            source = "none"  # but restyle's light is the model's there too
        assert read_marks(guided.objects.read(row["key"])).source_type == source
        masked = f"cache/drafts/{row['variant_id']}-mask.png" in guided.keys("cache/drafts")
        assert masked == (row["technique"] != "regenerate"), "where the guide has it, the product is"


def test_how_far_a_guide_counts_makes_its_pictures_anew_and_trains_nothing(guided: Shop) -> None:
    guided.run()
    assert not guided.plan().jobs
    guided.changes["generation"] = {"restyle_strength": 0.9, "sketch_weight": 0.3}
    again = guided.run().record
    assert (again.images_published, again.adapters_trained) == (4, 0)


def test_what_is_drawn_when_a_training_is_judged_is_not_how_a_run_finishes(guided: Shop, tmp_path: Path) -> None:
    guided.changes["training"] = {"evaluation": {"every": 5}}
    guided.changes["model"] |= {"scorer": str(build_tiny_clip(tmp_path / "clip"))}
    first = [job.adapter for job in guided.plan().jobs]
    guided.changes["generation"] = {"restyle_strength": 0.9, "sketch_weight": 0.3, "side_maximum": 500}
    assert [job.adapter for job in guided.plan().jobs] == first
    guided.changes["generation"] = {"steps": 2}
    assert [job.adapter for job in guided.plan().jobs] != first


def test_a_model_without_a_controlnet_is_told_before_anything_is_done(guided: Shop) -> None:
    del guided.changes["model"]
    with pytest.raises(ConfigError, match=r"'sketch' needs a ControlNet.*set model\.controlnet"):
        guided.run()
    assert not Path(guided.store).exists()


def test_a_guided_technique_may_do_without_an_adapter(guided: Shop, drawn: list[RenderRequest]) -> None:
    guided.changes["variants"] = ONE_SCENE | {"techniques": ["restyle"]}
    with patch.object(restyle, "USES_ADAPTER", False):
        done = guided.run().record
    assert (done.images_published, done.adapters_trained) == (2, 0)
    assert [(one.adapter, one.guide is None) for one in drawn] == [("", True), ("", False), ("", False)]


def test_a_guide_that_cannot_be_made_costs_its_own_picture(guided: Shop) -> None:
    guide = restyle.guide

    def fails_for_one(variant, material):
        if variant.sku == "sku-1":
            raise ValueError("no such place")
        return guide(variant, material)

    with patch.object(restyle, "guide", fails_for_one):
        assert guided.run().record.images_published == 7
    assert guided.reasons() == [("sku-1", "render_failed")]
    assert "no such place" in guided.table("rejections")[0]["detail"]


def test_a_scene_whose_pixels_are_not_finite_costs_what_stands_in_it(guided: Shop) -> None:
    draw_batch = rendering.draw_batch

    def dark(base, bank, readers, requests, settings, texts):
        images = draw_batch(base, bank, readers, requests, settings, texts)
        return [image if request.adapter else None for request, image in zip(requests, images, strict=True)]

    with patch.object(rendering, "draw_batch", dark):
        assert guided.run().record.images_published == 4
    failed = guided.table("rejections")
    assert len(failed) == 4
    assert all("not finite" in row["detail"] for row in failed)
    assert not guided.plan().jobs, "known: the same seed draws the same"
