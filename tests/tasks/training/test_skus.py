"""What a cohort of SKUs is trained on and begins with."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from catalog_schemas.identity import bytes_id
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import References
from catalog_schemas.rejection import Reason
from configs.schema import ComputeConfig, ModelConfig, RunConfig
from tasks.engine.lora_file import LoraWeights, write_lora
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.storage.keys import snapshot_key
from tasks.training import skus
from tasks.training.keeping import seed_of
from tasks.training.photos import Pictures
from tasks.training.skus import snapshots_of, train_skus
from tests.engine.material import HEADER
from tests.tasks.training.engine import Engine, context_of, job_of, photos_of


@pytest.mark.parametrize("trained_meanwhile", [False, True])
def test_a_cohort_goes_on_from_a_snapshot_unless_another_run_has_just_trained_it(
    tmp_path: Path, trained_meanwhile: bool
) -> None:
    config = RunConfig(model=ModelConfig(source="none"), compute=ComputeConfig(snapshot_steps=5))
    context = RunContext("run", "", str(tmp_path), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    spec = AdapterSpec("mug-1", "mug", "model", ("photo",), "{}", 2)
    job = SkuJob(Product("mug-1", "Mug", "mug", ()), (), spec, "new", ())
    store, key = context.open(), snapshot_key([spec.id])
    store.write(key, b"state")
    read = store.read

    def just_after_it_was_deleted(key: str) -> bytes:
        if trained_meanwhile:
            store.delete([key])
        return read(key)

    with patch.object(store, "read", just_after_it_was_deleted):
        snapshots = snapshots_of(context, [job], store)
    assert snapshots is not None
    assert snapshots.resume == (None if trained_meanwhile else b"state")


def test_each_sku_learns_its_own_photos_under_its_own_prompt_seed_and_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, context = Engine(skus, monkeypatch), context_of(tmp_path, snapshot_steps=50)
    jobs = [job_of("a", colour="teal"), job_of("b"), job_of("c", "vase")]
    photos = {"a": photos_of("a", "p3", "p1", "p2"), "b": photos_of("b", "p4"), "c": photos_of("c", "p5")}
    result = train_skus(context, "train", jobs, photos, {}, context.open())
    assert [(job.adapter_id, job.sku) for job in engine.jobs] == [(job.own_adapter.id, job.product.sku) for job in jobs]
    assert [job.instance for job in engine.jobs] == [
        "a photo of a teal sks mug, white",
        "a photo of a sks mug, white",
        "a photo of a sks vase, white",
    ]
    assert [job.prior for job in engine.jobs] == ["a photo of a mug", "a photo of a mug", "a photo of a vase"]
    assert [_names(job.photos) for job in engine.jobs] == [["p1", "p2", "p3"], ["p4"], ["p5"]]
    assert [job.steps for job in engine.jobs] == [6, 2, 2]
    assert [job.seed for job in engine.jobs] == [seed_of(job.own_adapter, 3) for job in jobs]
    assert [job.class_images for job in engine.jobs] == [(f"an image of {job.prior}",) for job in engine.jobs]
    assert engine.options["snapshots"].every == 50
    assert engine.options["slots"] == context.config.compute.slots == 2
    assert engine.rehearsed == ["a photo of a mug", "a photo of a vase"], "once for all SKUs of a noun"
    assert [one.sku for one in result.rejections] == ["a", "b", "c"]
    assert [one.subject for one in result.rejections] == [job.own_adapter.id for job in jobs]


def test_a_sku_is_judged_by_its_last_photos_which_it_does_not_learn_unless_it_has_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, judged = Engine(skus, monkeypatch), dict[str, list[str]]()

    def looks(context: RunContext, config: object, scorer: object, held_out: References, store: object) -> str:
        judged.update({name: [one.id for one in photos] for name, photos in held_out.items()})
        return "looks"

    monkeypatch.setattr(skus, "load_scorer", lambda folder: None)
    monkeypatch.setattr(skus, "evaluation_of", looks)
    context = context_of(tmp_path, evaluation={"held_out": 2})
    jobs = [job_of("many"), job_of("two"), job_of("one")]
    photos = {
        "many": photos_of("many", "p4", "p3", "p2", "p1"),
        "two": photos_of("two", "p5", "p6"),
        "one": photos_of("one", "p7"),
    }
    train_skus(context, "train", jobs, photos, {}, context.open())
    assert [_names(job.photos) for job in engine.jobs] == [["p1", "p2"], ["p5"], ["p7"]]
    assert judged == {
        jobs[0].own_adapter.id: ["p3", "p4"],
        jobs[1].own_adapter.id: ["p6"],
        jobs[2].own_adapter.id: ["p7"],
    }
    assert [job.steps for job in engine.jobs] == [4, 2, 2], "photos that judge give no steps"
    assert engine.options["evaluation"] == "looks"


def test_only_skus_that_begin_with_a_lost_class_adapter_are_refused_and_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, context = Engine(skus, monkeypatch), context_of(tmp_path)
    mugs, vases = (AdapterSpec("", noun, "model", (), "{}", 1) for noun in ("mug", "vase"))
    learned = write_lora(LoraWeights({"mid": (torch.ones(2, 8), torch.zeros(8, 2))}, 2, 1.0), HEADER)
    context.open().write("vases", learned)
    starts = {mugs.id: AdapterFile("mugs", "", 0), vases.id: AdapterFile("vases", bytes_id(learned), len(learned))}
    jobs = [job_of("a", start=mugs), job_of("b", "vase", start=vases), job_of("c", start=mugs), job_of("d")]
    photos = {job.product.sku: photos_of(job.product.sku, "p") for job in jobs}
    result = train_skus(context, "train", jobs, photos, starts, context.open())
    assert [(one.sku, one.reason) for one in result.rejections] == [
        ("a", Reason.ADAPTER_LOST),
        ("c", Reason.ADAPTER_LOST),
        ("b", Reason.TRAINING_DIVERGED),
        ("d", Reason.TRAINING_DIVERGED),
    ]
    assert [(job.sku, job.start is not None) for job in engine.jobs] == [("b", True), ("d", False)]

    engine.jobs.clear()
    result = train_skus(context, "train", [jobs[0]], photos, starts, context.open())
    assert [one.reason for one in result.rejections] == [Reason.ADAPTER_LOST]
    assert not engine.jobs, "nothing is left to train"


def _names(photos: object) -> list[str]:
    """The ids of photos that nobody has read yet."""
    assert isinstance(photos, Pictures)
    return [one.id for one in photos.named]
