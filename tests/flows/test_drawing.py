"""What the model draws for a run: a scene once for all products in it, and nothing where nothing is to be drawn."""

from pathlib import Path

import pytest

from tasks.engine.rendering import RenderRequest
from tasks.imaging.marking import read_marks
from tests.flows.shop import Shop

SCENES = {"techniques": ["composite"], "scenes": ["wooden-table", "garden-grass"]}


def _bytes(shop: Shop) -> dict[str, str]:
    return {row["key"].rpartition("-")[0]: row["sha256"] for row in shop.live()}


def test_a_scene_is_drawn_once_for_all_products_colours_chunks_and_runs(shop: Shop, drawn: list[RenderRequest]) -> None:
    for number in range(3):
        shop.add(f"sku-{number}", number)
    shop.changes = {"variants": SCENES, "compute": {"chunk_size": 6, "workers": 2}}
    assert shop.run().record.images_published == 12
    assert len(drawn) == len({request.prompt for request in drawn}) == 2

    shop.add("late", 5)
    assert shop.run().record.images_published == 4
    assert len(drawn) == 2

    shop.changes["generation"] = {"steps": 4}
    assert shop.run().record.images_published == 16
    assert len(drawn) == 4, "drawn otherwise, it is another scene"


def test_a_scene_has_the_same_bits_in_whatever_company_it_is_drawn(shop: Shop, tmp_path: Path) -> None:
    shop.add("a", 0)
    shop.add("b", 1)
    few = SCENES | {"colours": ["original"]}
    shop.changes = {"variants": few | {"techniques": ["composite", "regenerate"], "limit_per_sku": 4}}
    shop.run()
    together = _bytes(shop)

    other = shop.copy(tmp_path / "other")
    other.store = str(tmp_path / "elsewhere")
    other.changes = {"variants": few, "compute": {"chunk_size": 1, "workers": 1}}
    assert other.run().record.images_published == 4
    assert _bytes(other).items() <= together.items()


def test_a_scene_that_was_lost_is_drawn_again(shop: Shop, drawn: list[RenderRequest]) -> None:
    shop.add("a", 0)
    shop.changes = {"variants": SCENES}
    shop.run()
    shop.objects.delete(shop.keys("cache/scenes"))
    shop.add("b", 1)
    assert shop.run().record.images_published == 4
    assert len(drawn) == 4


def test_before_a_flat_colour_nothing_is_drawn_and_no_mark_says_so(shop: Shop, drawn: list[RenderRequest]) -> None:
    shop.add("a", 0)
    shop.changes = {"variants": SCENES | {"backgrounds": ["scene", "sage"], "colours": ["original"]}}
    assert shop.run().record.images_published == 3
    marks = {row["background"]: read_marks(shop.objects.read(row["key"])) for row in shop.live()}
    assert (marks["scene"].source_type, marks["scene"].ai_system) == ("composite", "Stable Diffusion")
    assert (marks["sage"].source_type, marks["sage"].ai_system, marks["sage"].prompt) == ("none", "", "")
    assert len(drawn) == 2
    assert {row["scene"] for row in shop.live() if row["background"] == "sage"} == {"plain"}


def test_in_what_the_model_drew_the_product_is_spotted_once_for_all_channels_that_crop(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("a", 0)
    shop.changes = {"variants": {"techniques": ["regenerate", "composite"], "scenes": ["wooden-table"]}}
    shop.changes |= {"channels": ["web", "instagram-story", "meta-link"]}
    looked: list[tuple[int, ...]] = []
    monkeypatch.setattr("tasks.finish_images.spot", lambda rgb: looked.append(rgb.shape))
    assert shop.run().record.images_published == 3 * 4
    assert len(looked) == 2
