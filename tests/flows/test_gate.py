"""What cannot be had is refused alone, with its reason, and not tried again until something about it changes."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from flows.pipeline import RunOutcome
from flows.start import start_run
from tasks.engine import crops
from tasks.engine.crops import TrainingPhoto
from tasks.imaging.decode import encode_png
from tasks.plan import make_plan
from tasks.planning.rows import Selection
from tasks.prepare_references import prepare_references
from tests.flows.shop import Shop, assert_adds_up, assert_sound

ORIGINAL_CROP = crops._crop


def _files(shop: Shop) -> dict[str, int]:
    return {key: Path(shop.store, key).stat().st_mtime_ns for key in shop.keys("cache")}


def _counts(outcome: RunOutcome) -> tuple[int, int, int, int]:
    run = outcome.record
    assert_adds_up(asdict(run))
    return run.images_planned, run.images_published, run.images_rejected, run.images_failed


def test_the_gate_refuses_and_remembers_and_another_gate_tries_again(shop: Shop) -> None:
    shop.add("a", 0)
    shop.add("b", 1)
    shop.changes["variants"] = {"limit_per_sku": 3}
    shop.changes["checks"] = [{"name": "contrast", "minimum": 200}]
    first = shop.run()
    assert _counts(first) == (6, 0, 6, 0)
    assert (first.record.skus_failed, first.record.skus_published) == (2, 0)
    assert shop.reasons() == [("a", "check_failed")] * 3 + [("b", "check_failed")] * 3
    assert all("contrast is" in row["detail"] and "at least 200" in row["detail"] for row in shop.table("rejections"))
    drafts = _files(shop)

    second = shop.run()
    assert _counts(second) == (0, 0, 0, 0)
    assert _files(shop) == drafts, "nothing is drawn again"
    assert len(shop.table("rejections")) == 6

    shop.changes["checks"] = [{"name": "contrast", "minimum": 2}]
    third = shop.run()
    assert _counts(third) == (6, 6, 0, 0)
    assert third.record.adapters_trained == 0
    assert {key: _files(shop)[key] for key in drafts if key.endswith(".png")} == {
        key: at for key, at in drafts.items() if key.endswith(".png")
    }, "nor is it for another gate"
    assert_sound(shop)

    shop.changes["checks"] = [{"name": "contrast", "minimum": 3}]
    plan = shop.plan()
    assert (plan.jobs, plan.retired) == ((), ()), "what is published stays, whatever the gate becomes"


def test_a_check_may_apply_to_one_technique_alone(shop: Shop) -> None:
    shop.add("a", 0)
    shop.changes["checks"] = [{"name": "contrast", "minimum": 200, "techniques": ["packshot"]}]
    assert _counts(shop.run()) == (6, 4, 2, 0)
    assert {row["technique"] for row in shop.live()} == {"regenerate", "composite"}


def test_a_sku_whose_training_diverges_fails_alone_and_keeps_what_needs_no_adapter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, sku in enumerate(("calm-1", "sick", "calm-2")):
        shop.add(sku, number)
    _blind(shop, "sick", photo=2)
    monkeypatch.setattr(crops, "_crop", _no_numbers_where_blind)

    outcome = shop.run()

    assert _counts(outcome)[:2] == (18, 16)
    assert outcome.record.adapters_trained == 2
    assert shop.reasons() == [("sick", "training_diverged")]
    made = {sku: [row["technique"] for row in shop.live() if row["sku"] == sku] for sku in ("calm-1", "sick", "calm-2")}
    assert sorted(made["sick"]) == ["composite", "composite", "packshot", "packshot"]
    assert len(made["calm-1"]) == len(made["calm-2"]) == 6
    assert_sound(shop)
    assert shop.plan().skipped == 3, "the same training would diverge again"
    monkeypatch.undo()
    shop.changes["training"] = {"learning_rate": 3e-3}
    shop.objects.delete(shop.keys("cache/references"))  # with the mask that was tampered with
    assert sum(bool(job.train) for job in shop.plan().jobs) == 3, "another recipe is another training"


def test_an_image_that_breaks_its_technique_fails_alone(shop: Shop) -> None:
    shop.add("a", 0)
    shop.add("sick", 1)
    _blind(shop, "sick", photo=0)
    outcome = shop.run()
    assert _counts(outcome) == (12, 8, 0, 4)
    assert shop.reasons() == [("sick", "render_failed")] * 4
    assert all("mask is empty" in row["detail"] for row in shop.table("rejections"))
    assert Counter(row["sku"] for row in shop.live()) == {"a": 6, "sick": 2}


def _no_numbers_where_blind(photo: TrainingPhoto, *others: Any, **more: Any) -> tuple[Tensor, Tensor]:
    """A crop as ever, or one whose loss has no value, where the photo's mask is empty."""
    pixels, weight = ORIGINAL_CROP(photo, *others, **more)
    return pixels, weight if photo.mask.any() else weight * float("nan")


def _blind(shop: Shop, sku: str, photo: int) -> None:
    """Takes the product out of a prepared mask."""
    context = start_run(shop.parameters())
    jobs = list(make_plan(context, Selection()).jobs)
    reference = [one for one in prepare_references.fn(context, jobs).records if one.sku == sku][photo]
    context.open().write(reference.mask_key, encode_png(np.zeros((reference.height, reference.width), np.float32)))


def test_a_ghost_of_a_photo_ends_no_run(shop: Shop) -> None:
    shop.add("a", 0)
    shop.add("ghost", 1)
    for row in shop.rows:
        row["masks"] = []
    for path in (shop.folder / "photos-1").glob("?.png"):
        photo = Image.open(path).convert("RGB")
        photo.putalpha(90)
        photo.save(path)
    assert_adds_up(asdict(shop.run().record))
    assert {row["sku"] for row in shop.live()} == {"a", "ghost"}


def test_a_catalog_of_rubbish_alone_ends_well(shop: Shop) -> None:
    shop.add("gone", 0, references=["photos-9/0.png"], masks=[])
    shop.add("nounless", 1, class_noun=" ")
    outcome = shop.run()
    assert _counts(outcome) == (0, 0, 0, 0)
    assert outcome.record.skus_quarantined == 2
    assert Path(outcome.report.gallery).is_file()


def test_an_empty_catalog_ends_well(shop: Shop) -> None:
    outcome = shop.run()
    assert _counts(outcome) == (0, 0, 0, 0)
    assert outcome.record.skus_input == 0
    assert Path(outcome.report.gallery).is_file()
