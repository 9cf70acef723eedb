"""What makes a night look at a row again that has not changed."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from configs.schema import RunConfig
from tasks.changes import read_changes
from tasks.context import RunContext
from tasks.models import ModelFolder
from tasks.storage.tables import Tables
from tests.configs_tiny import tiny_config

MODEL = ModelFolder("", "model", 64, "")


@pytest.mark.parametrize(
    "changed", [{"identity": "another"}, {"controlnet_identity": "edges"}, {"segmenter_identity": "net"}]
)
def test_another_model_makes_a_night_look_at_every_row(changed: dict[str, str], tmp_path: Path) -> None:
    def salt(model: ModelFolder) -> str:
        config = RunConfig.model_validate(tiny_config(Path("model")))
        context = RunContext("run", "catalog.parquet", str(tmp_path), config, model, datetime.now(UTC))
        return read_changes(context, Tables(context.open())).salt

    assert salt(replace(MODEL, path="/elsewhere")) == salt(MODEL)
    assert salt(replace(MODEL, **changed)) != salt(MODEL)
