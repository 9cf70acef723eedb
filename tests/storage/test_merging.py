import uuid
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.storage import merging
from tasks.storage.merging import ROWS_PER_FILE
from tasks.storage.objects import open_store
from tasks.storage.table_rows import TABLES
from tasks.storage.tables import Tables

KEYS = st.sampled_from("abcde")
NIGHT = st.tuples(
    st.integers(0, 5), st.lists(st.tuples(KEYS, st.integers(0, 2) | st.none()), max_size=6), st.booleans()
)


@pytest.mark.parametrize("full", [ROWS_PER_FILE, 3])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nights=st.lists(NIGHT, max_size=6))
def test_merging_is_a_dictionary_that_each_run_writes_once(tmp_path: Path, full: int, nights) -> None:
    with patch.multiple(merging, ROWS_PER_FILE=full, SMALL=full, FILES=full // 3):
        _merges_as_a_dictionary(tmp_path, nights)


def _merges_as_a_dictionary(tmp_path: Path, nights) -> None:
    tables = Tables(open_store(str(tmp_path / uuid.uuid4().hex)))
    model: dict[str, int | None] = {}
    committed: set[int] = set()
    schema = TABLES["images"].schema
    for run, rows, updates in nights:
        first: dict[str, int | None] = {}
        for key, seed in rows:
            first.setdefault(key, seed)
        changed = {k: v for k, v in first.items() if k not in model or (updates and model[k] != v)}
        listed = [{n: {"image_id": k, "seed": v}.get(n) for n in schema.names} for k, v in rows]
        count = tables.merge(
            "images", pa.Table.from_pylist(listed, schema=schema), f"r{run}", ("seed",) if updates else ()
        )
        if run in committed:
            changed = {}
        assert count == len(changed)
        if changed:
            committed.add(run)
        model |= changed
        assert {row["image_id"]: row["seed"] for row in tables.read("images").to_pylist()} == model
