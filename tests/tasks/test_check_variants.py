"""The quality gate on drafts in a store: what each check applies to, and what a refusal costs."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalog_schemas.draft import Draft
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason
from catalog_schemas.variant import VariantSpec
from configs.schema import RunConfig
from tasks.check_variants import CheckedDraft, check_variants
from tasks.checks import colour_fidelity
from tasks.imaging.compose import on_flat
from tasks.imaging.decode import encode_png
from tasks.imaging.recolour import recolour
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult
from tasks.runtime.models import ModelFolder
from tests.configs_tiny import tiny_config
from tests.imaging.pictures import mug

RGB, MASK = mug(96)
BLUE = recolour(RGB, MASK, "#2b5fb3")
SPEC = VariantSpec("mug", *[""] * 3, "composite", 0, *[""] * 6, (), 1, 1.0, "", 64, 64, 0.8, 1)
Shown = tuple[VariantSpec, Any, bool]  # a variant, its pixels, and whether its product's place in them is known


def _judged(
    folder: Path, checks: list[dict[str, Any]], shown: list[Shown], beside: int = 0
) -> StageResult[CheckedDraft]:
    """The gate's verdicts on drafts of one product, of which there are a grey photo and one that shows it as it is; the
    first `beside` of them have passed before."""
    config = RunConfig.model_validate(tiny_config(Path("model"), checks=checks))
    context = RunContext("run", "c", str(folder), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    store = context.open()
    store.write("mask.png", encode_png(MASK))
    pictures = {"photo-0": recolour(RGB, MASK, "#808080"), "photo-1": RGB}
    pictures |= {f"draft-{at}": rgb for at, (_, rgb, _) in enumerate(shown)}
    for name, rgb in pictures.items():
        store.write(f"{name}.png", encode_png(rgb))
    photos = [
        Reference(name, "mug", name, f"{name}.png", "mask.png", 96, 96, "given", 0.4, 1.0)
        for name in ("photo-0", "photo-1")
    ]
    drafts = [
        Draft(spec.id, f"draft-{at}.png", "mask.png" if placed else "", 0.1)
        for at, (spec, _, placed) in enumerate(shown)
    ]
    chunk = [PlannedVariant(spec, ("web",), "new", "Mug") for spec, _, _ in shown]
    passed = [(spec, draft) for (spec, _, _), draft in zip(shown, drafts, strict=True)][:beside]
    judged = StageResult(tuple(drafts[beside:]))
    return check_variants.fn(context, chunk, judged, {"mug": tuple(photos)}, {"mug": passed})


def _variants(*changes: dict[str, Any]) -> list[VariantSpec]:
    return [replace(SPEC, seed=seed, **change) for seed, change in enumerate(changes)]


def test_a_colour_is_judged_by_the_photo_nearest_to_it_where_it_was_not_changed_and_its_place_is_known(
    tmp_path: Path,
) -> None:
    same, other, meant, somewhere = _variants({}, {}, {"colour_hex": "#2b5fb3"}, {})
    shown: list[Shown] = [(same, RGB, True), (other, BLUE, True), (meant, BLUE, True), (somewhere, BLUE, False)]
    judged = _judged(tmp_path, [{"name": "colour_fidelity", "maximum": 5}], shown)
    assert [one.variant_id for one in judged.rejections] == [other.id]
    assert "expected at most 5" in judged.rejections[0].detail
    assert [(one.draft.variant_id, len(one.checks)) for one in judged.records] == [
        (same.id, 1),
        (meant.id, 0),
        (somewhere.id, 0),
    ]


def test_a_picture_is_compared_with_those_that_have_passed(tmp_path: Path) -> None:
    blank, first, double = _variants({}, {}, {})
    checks = [{"name": "contrast", "minimum": 2}, {"name": "novelty", "minimum": 3}]
    shown: list[Shown] = [(blank, np.full_like(RGB, 200), True), (first, RGB, True), (double, RGB, True)]
    judged = _judged(tmp_path, checks, shown)
    assert [one.draft.variant_id for one in judged.records] == [first.id]
    assert [one.name for one in judged.records[0].checks] == ["contrast"], "nothing has been before it"
    assert ["contrast is" in one.detail for one in judged.rejections] == [True, False]
    assert "novelty is 0, expected at least 3" in judged.rejections[1].detail


def test_a_further_attempt_is_compared_with_those_that_have_passed_before(tmp_path: Path) -> None:
    first, double, other = _variants({}, {}, {})
    shown: list[Shown] = [(first, RGB, True), (double, RGB, True), (other, RGB[:, ::-1], True)]
    judged = _judged(tmp_path, [{"name": "novelty", "minimum": 3}], shown, beside=1)
    assert [one.draft.variant_id for one in judged.records] == [other.id]
    assert [one.variant_id for one in judged.rejections] == [double.id]


@pytest.mark.parametrize(("technique", "passed"), [("packshot", [0, 1]), ("composite", [0, 1]), ("regenerate", [0])])
def test_the_product_on_another_plain_background_is_no_double_but_where_a_model_should_have_drawn_that(
    technique: str, passed: list[int], tmp_path: Path
) -> None:
    plain = ("", "#f5efe6", "#f5efe6")
    variants = _variants(*({"technique": technique, "background_hex": one} for one in plain))
    pictures = [on_flat(RGB, MASK, one or "#ffffff", (96, 96))[0] for one in plain]
    shown: list[Shown] = [(spec, rgb, False) for spec, rgb in zip(variants, pictures, strict=True)]
    judged = _judged(tmp_path, [{"name": "novelty", "minimum": 1}], shown)
    assert [one.draft.variant_id for one in judged.records] == [variants[at].id for at in passed]
    assert {one.reason for one in judged.rejections} == {Reason.CHECK_FAILED}


def test_an_image_that_breaks_a_check_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sick, well = _variants({"colour": "sick"}, {})
    measure = colour_fidelity.measure
    monkeypatch.setattr(
        colour_fidelity, "measure", lambda subject: 1 / 0 if subject.spec.colour == "sick" else measure(subject)
    )
    checks = [{"name": "colour_fidelity", "maximum": 100}]
    judged = _judged(tmp_path, checks, [(sick, RGB, True), (well, RGB, True)])
    assert [one.draft.variant_id for one in judged.records] == [well.id]
    assert [(one.variant_id, one.reason) for one in judged.rejections] == [(sick.id, Reason.CHECK_FAILED)]
    assert "unexpected ZeroDivisionError" in judged.rejections[0].detail


def test_a_product_out_of_focus_is_refused_however_sharp_what_is_around_it_is(tmp_path: Path) -> None:
    known, unknown = _variants({}, {})
    picture = np.random.default_rng(0).integers(0, 256, RGB.shape, np.uint8)
    picture[20:80, 20:84] = np.linspace(0, 255, 64).astype(np.uint8)[:, None]
    shown: list[Shown] = [(known, picture, True), (unknown, picture, False)]
    judged = _judged(tmp_path, [{"name": "sharpness", "minimum": 0.01}], shown)
    assert [one.variant_id for one in judged.rejections] == [known.id]
    assert [one.draft.variant_id for one in judged.records] == [unknown.id]


def test_a_refusal_says_what_was_measured_and_every_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [spec] = _variants({})
    monkeypatch.setattr(colour_fidelity, "measure", lambda subject: -0.125)
    bounds = {"name": "colour_fidelity", "minimum": 0, "maximum": 5}
    checks = [{"name": "contrast", "minimum": 1}, bounds, {"name": "fill", "maximum": 0.25}]
    [refused] = _judged(tmp_path, checks, [(spec, RGB, True)]).rejections
    assert "mug" in refused.detail
    assert "colour_fidelity is -0.125, expected at least 0 and at most 5; fill is 0." in refused.detail
    assert refused.detail.endswith("expected at most 0.25")


def test_a_draft_that_was_missing_once_is_judged_when_it_is_there(tmp_path: Path) -> None:
    [spec] = _variants({})
    config = RunConfig.model_validate(tiny_config(Path("model"), checks=[{"name": "contrast", "minimum": 1}]))
    context = RunContext("run", "c", str(tmp_path), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    context.open().write("draft.png", encode_png(RGB))
    chunk, draft = [PlannedVariant(spec, ("web",), "new", "Mug")], Draft(spec.id, "draft.png", "", 0.1)
    none, judged = (check_variants.fn(context, chunk, StageResult(some), {"mug": ()}) for some in ((), (draft,)))
    assert (none.records, [one.draft for one in judged.records]) == ((), [draft])
