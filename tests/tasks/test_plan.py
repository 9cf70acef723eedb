"""What is made again where the configuration or a model is another one, and what is not."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas.errors import ConfigError
from catalog_schemas.plan import SkuJob
from catalog_schemas.rejection import Reason, Rejection
from configs.schema import RunConfig
from tasks.plan import make_plan
from tasks.planning.rows import Selection
from tasks.runtime.context import RunContext
from tasks.runtime.identities import gate_id, image_id
from tasks.runtime.models import ModelFolder
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.configs_tiny import tiny_config
from tests.drawn_products import product_row, write_catalog, write_photos


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """One product with one photo."""
    return write_catalog(
        tmp_path / "catalog.parquet", [product_row("mug-1", **write_photos(tmp_path / "photos", 0, 1))]
    )


def _context(catalog: Path, **changes: Any) -> RunContext:
    config = RunConfig.model_validate(tiny_config(Path("model"), **changes))
    model = ModelFolder("", "model", 64, "")
    return RunContext("run", str(catalog), str(catalog.parent / "store"), config, model, datetime.now(UTC))


def test_a_class_learns_from_the_first_photo_of_each_sku_then_from_the_second_as_far_as_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.planning.planner.CLASS_PHOTOS", 4)
    counts = {"b": 2, "c": 1, "a": 2}  # in the order of the catalog, which decides nothing
    rows = [product_row(sku, **write_photos(tmp_path / sku, at, counts[sku], side=64)) for at, sku in enumerate(counts)]
    plan = make_plan(
        _context(write_catalog(tmp_path / "catalog.parquet", rows), training={"start_from": "class"}), Selection()
    )
    photos = {job.product.sku: [photo.id for photo in job.photos] for job in plan.jobs}
    [learned] = plan.classes
    assert set(learned.references) == {photos["a"][0], photos["b"][0], photos["c"][0], photos["a"][1]}


def test_an_adapter_does_not_know_the_order_of_its_photos(tmp_path: Path) -> None:
    photos, ids = write_photos(tmp_path / "photos", 0, 3, side=64), list[str]()
    for listed in (photos, {name: entries[::-1] for name, entries in photos.items()}):
        catalog = write_catalog(tmp_path / "catalog.parquet", [product_row("mug-1", **listed)])
        ids.append(_planned(catalog)[1].own_adapter.id)
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"attributes": {"color": "Navy blue / White"}}, "#1d2b4f"),
        ({"attributes": {"colour": "#1A7F5A", "color": "red"}}, "#1a7f5a"),
        ({"attributes": {"colour": "Ocean breeze"}}, ""),
        ({"attributes": {"accent": "red"}}, ""),
        ({"attributes": {"Farbe": "Dunkelblau"}}, "#1d2b4f"),
        ({"title": "Navy blue mug, red handle"}, "#1d2b4f"),
        ({"title": "Mug with a navy blue handle"}, ""),
    ],
)
def test_a_recoloured_picture_knows_what_the_catalog_calls_the_products_colour(
    tmp_path: Path, fields: dict[str, Any], meant: str
) -> None:
    row = product_row("mug-1", **write_photos(tmp_path / "photos", 0, 1, side=64), **fields)
    catalog = write_catalog(tmp_path / "catalog.parquet", [row])
    variants = {"techniques": ["packshot"], "colours": ["original", "sage"], "backgrounds": ["scene"]}
    _, job = _planned(catalog, variants=variants)
    assert {one.spec.colour: one.spec.own_colour_hex for one in job.variants} == {"original": "", "sage": meant}


def test_a_request_hears_of_the_rows_that_it_asks_for_alone(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos", 0, 1, side=64)
    rows = [product_row("good", **photos), product_row("bad", [])]
    context = _context(write_catalog(tmp_path / "catalog.parquet", rows))
    plan = make_plan(context, Selection(skus=("good",)))
    assert ([job.product.sku for job in plan.jobs], plan.rejections) == (["good"], ())
    plan = make_plan(context, Selection(skus=("bad",)))
    assert (plan.jobs, [one.sku for one in plan.rejections]) == ((), ["bad"]), "it is in the catalog"


def test_a_channel_gets_the_techniques_that_it_admits_alone(catalog: Path) -> None:
    plan = make_plan(_context(catalog, channels=["web", "amazon-main"]), Selection())
    [job], held = plan.jobs, plan.held
    admitted = {one.spec.technique: one.channels for one in job.variants}
    assert admitted == {"regenerate": ("web",), "composite": ("web",), "packshot": ("web", "amazon-main")}
    assert held == {"mug-1": 0}


def test_a_product_that_no_adapter_draws_is_not_learned(catalog: Path) -> None:
    _, job = _planned(catalog, variants={"techniques": ["composite", "packshot"]})
    assert (job.adapter, job.train) == (None, "")


@pytest.mark.parametrize(
    ("reason", "is_final"),
    [
        (Reason.TRAINING_DIVERGED, True),
        (Reason.RENDER_FAILED, True),
        (Reason.CHECK_FAILED, True),
        (Reason.FINISH_FAILED, True),
        (Reason.ADAPTER_LOST, False),
    ],
)
def test_what_was_refused_is_not_tried_again_as_it_was_unless_the_reason_passes(
    catalog: Path, reason: Reason, is_final: bool
) -> None:
    context, job = _planned(catalog, variants={"techniques": ["regenerate"], "limit_per_sku": 1})
    [planned] = job.variants
    tried = {
        Reason.RENDER_FAILED: planned.spec.id,
        Reason.CHECK_FAILED: gate_id(planned.spec, context),
        Reason.FINISH_FAILED: image_id(planned.spec, context.library().channels["web"], planned.title),
    }
    subject = tried.get(reason, planned.spec.adapter_id)
    refusal = Rejection("mug-1", "stage", reason, subject, "detail", "run", context.started_at)
    Tables(context.open()).merge("rejections", rows_of("rejections", [refusal]), "run")
    plan = make_plan(context, Selection())
    assert (len(plan.jobs), plan.skipped, plan.images_refused) == ((0, 1, 1) if is_final else (1, 0, 0))


def test_a_category_that_no_product_is_in_is_refused(catalog: Path) -> None:
    for category in ("", "kitchen", "HOME"):
        assert make_plan(_context(catalog), Selection(category=category)).jobs
    with pytest.raises(ConfigError, match=r"no product of .* is in the category 'garden'"):
        make_plan(_context(catalog), Selection(category="garden"))


def _planned(catalog: Path, scorer: str = "", **changes: Any) -> tuple[RunContext, SkuJob]:
    config = RunConfig.model_validate(tiny_config(Path("model"), **changes))
    model = ModelFolder("", "model", 64, "", scorer_identity=scorer)
    context = RunContext("run", str(catalog), str(catalog.parent / "store"), config, model, datetime.now(UTC))
    [job] = make_plan(context, Selection()).jobs
    return context, job


@pytest.mark.parametrize(("training", "counts"), [({"evaluation": {"every": 4}}, True), ({"prior_images": 2}, False)])
def test_what_judges_is_part_of_an_adapter_that_it_has_chosen(
    catalog: Path, training: dict[str, Any], counts: bool
) -> None:
    one, other = (_planned(catalog, scorer, training=training)[1].own_adapter for scorer in ("one", "other"))
    assert (one.id != other.id) == counts


@pytest.mark.parametrize(
    ("generation", "counts"),
    [({"negative_prompt": "ugly", "seed": 7, "side_maximum": 1024}, False)]
    + [({name: value}, True) for name, value in (("steps", 4), ("guidance", 2.0), ("scheduler", "ddim"))],
)
def test_how_images_are_drawn_is_part_of_an_adapter_as_far_as_training_draws_so(
    catalog: Path, generation: dict[str, Any], counts: bool
) -> None:
    for training in ({"evaluation": {"every": 4}}, {"prior_images": 2}, {}):
        one, other = (
            _planned(catalog, training=training, generation=drawn)[1].own_adapter for drawn in ({}, generation)
        )
        assert (one.id != other.id) == (counts and bool(training))


@pytest.mark.parametrize(("check", "counts"), [("likeness", True), ("agreement", True), ("contrast", False)])
def test_what_judges_is_part_of_a_trial_by_a_check_that_asks_it(catalog: Path, check: str, counts: bool) -> None:
    def trials(scorer: str) -> list[str]:
        context, job = _planned(catalog, scorer, checks=[{"name": check, "minimum": 0.5}])
        return [gate_id(one.spec, context) for one in job.variants]

    assert (trials("one") != trials("other")) == counts
