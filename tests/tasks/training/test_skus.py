"""What a cohort of SKUs begins with."""

from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.product import Product
from configs.schema import ComputeConfig, ModelConfig, RunConfig
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.storage.keys import snapshot_key
from tasks.training.skus import snapshots_of


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
