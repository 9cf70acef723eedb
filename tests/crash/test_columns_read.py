"""What commands between runs read of rows, which in a large shop are millions of kilobytes."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from tasks.storage.table_rows import TABLES
from tasks.storage.tables import Tables
from tasks.upkeep.repair import Repair, repair
from tasks.upkeep.roll_back import Rollback, roll_back
from tasks.upkeep.verify import verify
from tests.crash.operated import CATALOG, CHANGED, LATER, flip, gc, night
from tests.crash.soundness import read_tables, violations
from tests.crash.watched import Clock, ClockedStore

LONG = {"spec", "checks", "prompt", "negative_prompt", "alt_text", "recipe", "curve", "references"}


def test_no_command_between_runs_reads_how_all_images_and_adapters_were_made(
    store: ClockedStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, parts = set[str](), Tables.parts

    def watched(tables: Tables, name: str, columns: list[str] | None = None, *rest: Any) -> Iterator[pa.Table]:
        read.update(TABLES[name].schema.names if columns is None else columns)
        return parts(tables, name, columns, *rest)

    night(store, CATALOG, "one")
    first = Tables(store).version("images")
    night(store, CHANGED, "two")
    monkeypatch.setattr(Tables, "parts", watched)
    assert roll_back(store, first, "back", clock.now()) == Rollback(2, 2)
    flip(store, Tables(store).live_images(["key"])["key"][0].as_py())
    flip(store, Tables(store).live_adapters(["key"])["key"][0].as_py())
    assert repair(store, verify(store, lambda done, total: None).faults, "repair", clock.now()) == Repair(1, 1)
    clock.advance(LATER)
    gc(store)
    assert read.isdisjoint(LONG)
    monkeypatch.undo()
    assert all(row["spec"] is not None and row["title"] is not None for row in read_tables(store)["images"])
    night(store, CATALOG, "three")
    assert violations(store) == []
