"""What a run needs, on another machine."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas.errors import ModelError, StoreError
from configs.schema import ModelConfig, RunConfig
from tasks.runtime.context import RunContext, config_key
from tasks.runtime.models import find_model, find_model_once
from tests.models.tiny import build_tiny_sd


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_sd(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def elsewhere(model: Path, tmp_path: Path) -> RunContext:
    """A run that began on another machine, which shares its folders."""
    find_model_once.cache_clear()
    catalog, config = tmp_path / "catalog.parquet", RunConfig(model=ModelConfig(source=str(model)))
    catalog.touch()
    found = replace(find_model(config.model), path="/only/there")
    run = RunContext("run", str(catalog), str(tmp_path / "store"), config, found, datetime.now(UTC), machine="there")
    run.open().write(config_key("run"), b"{}")
    return run


def test_a_run_arrives_with_the_model_of_the_machine_where_it_is(elsewhere: RunContext, model: Path) -> None:
    here = elsewhere.arrived()
    assert (here.model, here.config) == (find_model(elsewhere.config.model), elsewhere.config)
    assert here.arrived() is here


def test_a_run_whose_folders_are_not_shared_is_told(elsewhere: RunContext, tmp_path: Path) -> None:
    shared = "use a bucket's URL, or a folder that all machines share"
    with pytest.raises(StoreError, match=rf"other on .* is not the store that the run writes on there: {shared}"):
        replace(elsewhere, store=str(tmp_path / "other")).arrived()
    with pytest.raises(StoreError, match=rf"none\.parquet is not on .*, but the run reads it on there: {shared}"):
        replace(elsewhere, catalog=str(tmp_path / "none.parquet")).arrived()


def test_another_model_there_is_told(elsewhere: RunContext) -> None:
    other = replace(elsewhere, model=replace(elsewhere.model, identity="sha256:other"))
    with pytest.raises(
        ModelError, match=r"^model\.source on .*, but sha256:other on there: give all machines the same"
    ):
        other.arrived()


@pytest.mark.parametrize("beside", ["scorer", "controlnet", "segmenter", "upscaler", "loras"])
def test_what_stands_beside_the_model_is_told_by_the_setting_that_names_it(elsewhere: RunContext, beside: str) -> None:
    other = replace(elsewhere.model, **{f"{beside}_identity": "sha256:another"})
    with pytest.raises(ModelError, match=rf"^model\.{beside} on .* is none, but sha256:another on there: give all"):
        replace(elsewhere, model=other).arrived()
