"""Photos without a mask are cut out by the network that the configuration names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_schemas.errors import ModelError
from catalog_schemas.reference import Reference
from configs.schema import ModelConfig, RunConfig
from tasks import prepare_references as stage
from tasks.imaging import formats
from tasks.imaging.decode import decode
from tasks.plan import plan_run
from tasks.planning.rows import Selection
from tasks.prepare_references import cut_out_advice, prepare_references
from tasks.runtime.context import RunContext
from tasks.runtime.models import find_model
from tasks.runtime.pictures import photo_reader, read_reference
from tests.configs_tiny import tiny_config
from tests.drawn_products import product_row, write_catalog, write_photos
from tests.imaging.networks import colourful
from tests.imaging.pictures import mug
from tests.models.tiny import build_tiny_sd

AS_THEY_ARE = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [product_row("none", **write_photos(tmp_path / "none", 0, count=1, masks=False))]
    rows.append(product_row("own", **write_photos(tmp_path / "own", 0, count=2)))
    write_catalog(tmp_path / "catalog.parquet", rows)
    build_tiny_sd(tmp_path / "model")
    return tmp_path


def _prepared(
    folder: Path, run: str, catalog_has: dict[str, int] | None = None, **segmenter: Any
) -> tuple[RunContext, list[Reference]]:
    config = RunConfig.model_validate(tiny_config(folder / "model", catalog=catalog_has or {}))
    model = ModelConfig(source=str(folder / "model"), segmenter=segmenter or None)
    config = config.model_copy(update={"model": model})
    store, catalog = str(folder / "store"), str(folder / "catalog.parquet")
    context = RunContext(run, catalog, store, config, find_model(config.model), datetime.now(UTC))
    plan = plan_run.fn(context, Selection())
    return context, list(prepare_references.fn(context, list(plan.jobs)).records)


def test_the_network_finds_the_product_where_the_catalog_has_no_mask(folder: Path) -> None:
    network = str(colourful(folder / "network.onnx"))
    for run, segmenter, pale_stripe in (("without", {}, 1.0), ("with", {"source": network} | AS_THEY_ARE, 0.0)):
        context, prepared = _prepared(folder, run, **segmenter)
        assert [one.mask_source for one in prepared] == ["cut_out", "given", "given"]
        photo = read_reference(context.open(), prepared[0])
        stripe = (photo.rgb.min(axis=2) > 225) & (photo.mask == pale_stripe)
        assert stripe.sum() > 80, "the mug's stripe, which has no colour for the network to find"


def test_a_photo_that_a_run_refused_is_looked_at_again_under_other_bounds(folder: Path) -> None:
    assert not _prepared(folder, "strict", {"reference_side_minimum": 5000})[1]
    assert len(_prepared(folder, "corrected")[1]) == 3


def test_a_photo_that_a_killed_run_refused_for_its_format_is_looked_at_again_where_that_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = folder / "own" / "0.png"
    Image.open(photo).save(photo, "TIFF")
    with monkeypatch.context() as patch:
        for module in (formats, stage):
            patch.setattr(module, "readable", lambda: ("a JPEG", "a PNG"))
        patch.setattr(stage, "decode_apart", decode)
        assert len(_prepared(folder, "before")[1]) == 2
        assert len(_prepared(folder, "resumed")[1]) == 2
    assert len(_prepared(folder, "after")[1]) == 3


def test_what_another_network_has_prepared_is_not_taken(folder: Path) -> None:
    _, without = _prepared(folder, "none")
    _, one = _prepared(folder, "one", source=str(colourful(folder / "one.onnx")))
    _, other = _prepared(folder, "other", source=str(colourful(folder / "other.onnx", steepness=30.0)))
    _, again = _prepared(folder, "again", source=str(folder / "one.onnx"))
    assert [one[0].mask_key, other[0].mask_key] == [again[0].mask_key, other[0].mask_key]
    assert len({without[0].mask_key, one[0].mask_key, other[0].mask_key}) == 3
    assert without[1:] == one[1:] == other[1:], "a given mask is the same whatever the network"


def test_a_transparent_photo_is_cut_out_in_its_own_colours_and_without_its_shadow(folder: Path) -> None:
    y, x = np.mgrid[:128, :128]
    product, shade = abs(y - 50) + abs(x - 64) < 40, np.clip(0.5 - abs(y - 106) / 30, 0, 0.5) * (abs(x - 64) < 50)
    rgba = np.dstack([product * 200, product * 30, product * 40, np.where(product, 128, shade * 255)])
    Image.fromarray(rgba.astype(np.uint8)).save(folder / "glass.png")
    write_catalog(folder / "catalog.parquet", [product_row("glass", references=[str(folder / "glass.png")])])
    context, [prepared] = _prepared(folder, "one")
    photo = photo_reader(context.open())(prepared, "", "")
    assert (photo.mask[product] == 128 / 255).all()
    assert (photo.mask[~product] == 0).mean() > 0.99
    assert abs(photo.rgb[product].astype(int) - (200, 30, 40)).max() <= 2


def test_a_network_that_is_rubbish_ends_the_run_and_blames_no_photo(folder: Path) -> None:
    (folder / "rubbish.onnx").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match=r"rubbish\.onnx: expected a network in an ONNX file"):
        _prepared(folder, "one", source=str(folder / "rubbish.onnx"))


@pytest.mark.parametrize("noise", [0, 30])
def test_photos_that_show_more_than_a_backdrop_are_a_reason_to_say_something(folder: Path, noise: int) -> None:
    rgb, _ = mug(256, noise=0)
    rgb[::5] = np.clip(rgb[::5].astype(int) - noise, 0, 255)  # boards of a wall
    Image.fromarray(rgb).save(folder / "none" / "0.png")
    context, prepared = _prepared(folder, "one")
    assert [one.is_plain for one in prepared] == [not noise, True, True]
    said = cut_out_advice(context, prepared)
    assert len(said) == bool(noise)
    assert all("1 of 1 photos show more than a product" in one and "model.segmenter" in one for one in said)
    context, prepared = _prepared(folder, "two", source=str(colourful(folder / "network.onnx")))
    assert cut_out_advice(context, prepared) == ()


def test_a_strip_is_prepared_as_any_photo(folder: Path) -> None:
    strip = np.random.default_rng(0).integers(0, 256, (64, 30_000, 3), dtype=np.uint8)
    Image.fromarray(strip).save(folder / "none" / "0.png")
    _, prepared = _prepared(folder, "one")
    assert [(one.mask_source, one.is_plain) for one in prepared] == [
        ("cut_out", True),
        ("given", True),
        ("given", True),
    ]
