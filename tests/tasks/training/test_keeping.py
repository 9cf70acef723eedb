"""What a product's photos are called in training, and what is kept of what it gives."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import torch
from pydantic import TypeAdapter
from safetensors.torch import load as load_tensors

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.identity import bytes_id
from configs.schema import ModelConfig, RunConfig
from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.jobs import CurvePoint, TrainedAdapter
from tasks.engine.lora_file import LoraWeights, read_lora
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.training.keeping import instance_prompt, keep_adapter, seed_of


def test_the_instance_prompt_names_token_noun_and_backdrop() -> None:
    assert instance_prompt(TrainingConfig(), "mug") == "a photo of a sks mug"
    assert instance_prompt(TrainingConfig(), "mug", "dark teal") == "a photo of a dark teal sks mug"
    named = TrainingConfig(backdrop="plain white background", token="zqx")
    assert instance_prompt(named, "toy car") == "a photo of a zqx toy car, plain white background"


def test_a_skus_seed_is_its_own_and_another_one_with_another_seed_of_the_recipes() -> None:
    specs = [AdapterSpec(sku, "mug", "model", ("photo",), "{}", 2) for sku in ("mug-1", "mug-2")]
    seeds = [seed_of(spec, seed) for spec in specs for seed in (0, 1)]
    assert len(set(seeds)) == 4
    assert all(2**40 < seed < 2**63 for seed in seeds)


def test_the_record_and_the_file_say_what_was_learned_and_how(tmp_path: Path) -> None:
    config = RunConfig(model=ModelConfig(source="none"))
    spec = AdapterSpec("mug-1", "mug", "model", ("photo",), "{}", 2, "a" * 64, "dark teal")
    base = SimpleNamespace(kind="sd2-v", prediction="v_prediction")
    context = RunContext("run", "", str(tmp_path), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    lora = LoraWeights({"mid": (torch.ones(2, 8), torch.zeros(8, 2))}, 2, 1.0)
    looks = (CurvePoint(3, 0.5, 0.25), CurvePoint(6, 0.25, 0.125))
    trained = TrainedAdapter(spec.id, spec.sku, lora, 3, 0.2, 0.1, looks)
    record = keep_adapter(context, spec, trained, cast(BaseModel, base), 1.5, context.open())
    data = context.open().read(record.key)
    assert (record.steps, record.loss_before, record.loss_after, record.seconds) == (3, 0.2, 0.1, 1.5)
    assert json.loads(record.curve)[1] == {"step": 6, "likeness": 0.25, "agreement": 0.125}
    assert (record.start, record.colour, record.token, record.embedding) == (spec.start, "dark teal", "sks", "")
    written = TypeAdapter(AdapterRecord).validate_json(
        context.open().read(f"{record.key.rpartition('/')[0]}/record.json")
    )
    assert written == record
    said = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert said["modelspec.trigger_phrase"] == "dark teal sks mug"
    assert said["modelspec.prediction_type"] == "v"
    assert said["modelspec.resolution"] == "64x64"
    assert json.loads(said["packshot.recipe"])["start"] == spec.start


def test_of_two_runs_that_train_one_sku_at_once_the_first_counts_for_both_unless_its_file_is_damaged(
    tmp_path: Path,
) -> None:
    config = RunConfig(model=ModelConfig(source="none"))
    spec, base = AdapterSpec("mug-1", "mug", "model", ("photo",), "{}", 2), SimpleNamespace(kind="sd1", prediction="v")
    context = RunContext("run", "", str(tmp_path), config, ModelFolder("", "", 64, ""), datetime.now(UTC))
    store = context.open()

    def keep(learned: float) -> AdapterRecord:
        pair, words = (torch.full((2, 8), learned), torch.zeros(8, 2)), {"te": torch.full((1, 8), learned)}
        trained = TrainedAdapter(spec.id, spec.sku, LoraWeights({"mid": pair}, 2, 1.0, words, "sks"), 1, 0.2, 0.1)
        return keep_adapter(context, spec, trained, cast(BaseModel, base), 1.0, store)

    def holds(record: AdapterRecord, learned: float) -> None:
        data = store.read(record.key)
        assert (record.sha256, record.bytes) == (bytes_id(data), len(data))
        assert read_lora(data).modules["mid"][0].unique().tolist() == [learned]
        assert load_tensors(store.read(record.embedding))["emb_params"].unique().tolist() == [learned]

    first, second = keep(1.0), keep(2.0)
    holds(first, 1.0)
    holds(second, 1.0)
    store.write(first.key, store.read(first.key)[:-4])
    holds(keep(3.0), 3.0)

    read = store.read

    def just_after_it_was_given_up(key: str) -> bytes:
        store.delete([key])
        return read(key)

    with patch.object(store, "read", just_after_it_was_given_up):
        fourth = keep(4.0)
    holds(fourth, 4.0)
