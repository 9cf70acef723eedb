"""What a product's photos are called in training, and what is kept of what it gives."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest.mock import patch

import torch
from safetensors.torch import load as load_tensors

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.identity import bytes_id
from configs.schema import ModelConfig, RunConfig
from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.jobs import TrainedAdapter
from tasks.engine.lora_file import LoraWeights, read_lora
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.training.keeping import instance_prompt, keep_adapter


def test_the_instance_prompt_names_token_noun_and_backdrop() -> None:
    assert instance_prompt(TrainingConfig(), "mug") == "a photo of a sks mug"
    assert instance_prompt(TrainingConfig(), "mug", "dark teal") == "a photo of a dark teal sks mug"
    named = TrainingConfig(backdrop="plain white background", token="zqx")
    assert instance_prompt(named, "toy car") == "a photo of a zqx toy car, plain white background"


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
