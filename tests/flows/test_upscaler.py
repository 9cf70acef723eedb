"""A network that enlarges what the model draws, in a run: which pictures are larger, and what is made again."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from catalog_schemas.errors import ModelError
from flows.refresh_catalog import refresh_catalog
from tasks.engine.rendering import RenderRequest
from tasks.imaging.decode import decode
from tasks.imaging.upscaler import Upscaler
from tests.flows.shop import Shop, artifacts_of, assert_sound
from tests.imaging.networks import enlarging

BY_MODEL = ["regenerate", "sketch"]
TECHNIQUES = [*BY_MODEL, "restyle", "composite", "packshot"]
MATRIX = {"scenes": ["wooden-table"], "colours": ["original"], "techniques": TECHNIQUES}
DRAWN = 64  # pixels a side, by the tiny model


@pytest.fixture
def crisp(shop: Shop, controlnet: Path, tmp_path: Path) -> Shop:
    """A shop with two products, every technique, and a network that doubles each side."""
    for number in range(2):
        shop.add(f"sku-{number}", number)
    network = enlarging(tmp_path / "network.onnx", 2)
    shop.changes = {"model": {"controlnet": str(controlnet), "upscaler": str(network)}, "variants": MATRIX}
    return shop


def sides(shop: Shop) -> dict[str, set[tuple[int, ...]]]:
    """The sizes of the live images by technique."""
    found: dict[str, set[tuple[int, ...]]] = {}
    for row in shop.live():
        found.setdefault(row["technique"], set()).add((row["height"], row["width"]))
    return found


def test_what_the_model_draws_is_enlarged_with_its_mask_and_a_packshot_is_not(
    crisp: Shop, drawn: list[RenderRequest]
) -> None:
    network = crisp.changes["model"].pop("upscaler")
    crisp.run()
    before = sides(crisp)
    assert all(before[name] == {(DRAWN, DRAWN)} for name in BY_MODEL)
    packshots = {row["key"] for row in crisp.live() if row["technique"] == "packshot"}
    crisp.changes["model"]["upscaler"] = network
    plan = crisp.plan()
    assert {one.reason for job in plan.jobs for one in job.variants} == {"model changed"}
    drawn.clear()
    with patch.object(Upscaler, "__call__", autospec=True, side_effect=Upscaler.__call__) as calls:
        done = crisp.run().record
    assert (done.adapters_trained, done.images_published) == (0, 8), "training knows of none"
    assert [one.adapter for one in drawn].count("") == 0, "the scene is the one of the run before"
    assert calls.call_count == 2 * 2 + 1, "a scene is enlarged once for all that stand in it, restyled ones too"
    after = sides(crisp)
    assert all(after[name] == {(2 * DRAWN, 2 * DRAWN)} for name in BY_MODEL)
    assert after["packshot"] == before["packshot"]
    assert {row["key"] for row in crisp.live() if row["technique"] == "packshot"} == packshots
    assert {one.guide.picture.shape for one in drawn if one.guide} == {(DRAWN, DRAWN, 3)}
    assert not crisp.plan().jobs
    assert_sound(crisp)
    _masks_are_as_large_as_pictures_that_are_what_was_drawn(crisp)


def _masks_are_as_large_as_pictures_that_are_what_was_drawn(crisp: Shop) -> None:
    drafts = {}
    for row in crisp.live():
        pixels = decode(crisp.objects.read(f"cache/drafts/{row['variant_id']}.png"), 1 << 20).rgb
        drafts[row["sku"], row["technique"]] = pixels
        if row["technique"] != "regenerate":
            mask = decode(crisp.objects.read(f"cache/drafts/{row['variant_id']}-mask.png"), 1 << 20).rgb
            assert mask.shape == pixels.shape
            assert 0.2 < (mask > 127).mean() < 0.9
    for technique in BY_MODEL:
        for sku in ("sku-0", "sku-1"):
            rgb = drafts[sku, technique]
            assert (rgb == np.repeat(np.repeat(rgb[::2, ::2], 2, axis=0), 2, axis=1)).all(), technique


def test_it_ends_at_the_longest_side_that_pictures_may_have(crisp: Shop) -> None:
    del crisp.rows[1]
    crisp.changes["generation"] = {"side_maximum": 96}
    crisp.run()
    found = sides(crisp)
    own_pixels = found.pop("packshot") | found.pop("composite") | found.pop("restyle")
    assert {DRAWN} <= {side for size in own_pixels for side in size} <= set(range(DRAWN, 97)), (
        "as large as the photo gives"
    )
    assert all(of == {(96, 96)} for of in found.values())


@pytest.mark.parametrize("named", [True, False])
def test_a_run_whose_images_are_scaled_up_says_so_where_no_network_is_named(crisp: Shop, named: bool) -> None:
    del crisp.rows[1]
    crisp.changes["channels"] = ["web", "ebay"]
    crisp.changes["variants"] = MATRIX | {"techniques": ["regenerate"]}
    if not named:
        del crisp.changes["model"]["upscaler"]
    state = refresh_catalog(crisp.parameters(), return_state=True)
    said = ["1 of 2 images that the model has drawn in are scaled up from the 64"] if not named else []
    assert [one.partition(" pixels")[0] for one in state.result().warnings] == said
    page = " ".join(str(one.data) for one in artifacts_of(state.state_details.flow_run_id))
    assert all(f"**{one}" in page for one in said)


@pytest.mark.parametrize(
    ("rubbish", "says"), [(b"", "expected a network in an ONNX file"), (None, "but there is none")]
)
def test_one_that_is_none_is_told_before_anything_is_done(crisp: Shop, rubbish: bytes | None, says: str) -> None:
    network = Path(crisp.changes["model"]["upscaler"])
    network.unlink()
    if rubbish is not None:
        network.write_bytes(rubbish)
    with pytest.raises(ModelError, match=says):
        crisp.run()
    assert not Path(crisp.store).exists()


def test_pixels_that_are_not_finite_cost_what_the_model_has_drawn_and_nothing_else(crisp: Shop) -> None:
    del crisp.rows[1]
    enlarging(Path(crisp.changes["model"]["upscaler"]), 2, gain=float("inf"))
    done = crisp.run().record
    assert (done.images_published, done.images_failed) == (1, 4)
    assert {row["technique"] for row in crisp.live()} == {"packshot"}
    told = [row["detail"] for row in crisp.table("rejections")]
    assert len(told) == 4
    assert all("the upscaler's pixels were not finite" in one for one in told)
