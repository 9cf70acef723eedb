"""A run is published wholly and once, however often and by whomever its publishing is begun."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog_schemas.adapter import AdapterRecord
from catalog_schemas.arrow import from_table
from catalog_schemas.image import ImageRecord
from catalog_schemas.reference import PhotoRecord
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from flows.start import start_run
from tasks.publish import finish_publishing, publish
from tasks.publishing import publication as publishing
from tasks.publishing.publication import Harvest, Publication
from tasks.runtime.context import RunContext
from tasks.storage.tables import Tables
from tests.flows.shop import Shop

NOW = datetime(2130, 1, 1, tzinfo=UTC)  # later than any run of a test ends
TABLES = ("adapters", "rejections", "images", "photos", "skus", "runs")


@pytest.fixture
def harvest(finished: Shop) -> Harvest:
    """What the finished shop's run made, and a refusal."""
    tables = finished.tables
    return Harvest(
        adapters=tuple(from_table(AdapterRecord, tables.read("adapters"))),
        images=tuple(from_table(ImageRecord, tables.read("images"))),
        rejections=(Rejection("mug-1", "check_variants", Reason.CHECK_FAILED, "s", "d", "r", NOW, "v"),),
        skus=tuple(from_table(SkuRecord, tables.read("skus"))),
        photos=tuple(from_table(PhotoRecord, tables.read("photos"))),
    )


@pytest.fixture
def run(finished: Shop) -> RunRecord:
    return from_table(RunRecord, finished.tables.read("runs"))[0]


def _context(finished: Shop, store: Path, run_id: str) -> RunContext:
    return replace(start_run(finished.parameters().model_copy(update={"store": str(store)})), run_id=run_id)


def _content(context: RunContext) -> dict[str, list[str]]:
    tables = Tables(context.open())
    return {name: sorted(str(row) for row in tables.read(name).to_pylist()) for name in TABLES}


@pytest.mark.parametrize("commits", range(7))
def test_a_run_killed_after_any_commit_is_completed_under_its_own_id(
    finished: Shop, harvest: Harvest, run: RunRecord, tmp_path: Path, commits: int
) -> None:
    whole = _context(finished, tmp_path / "whole", run.run_id)
    publish.fn(whole, harvest, run)
    cut = _context(finished, tmp_path / "cut", run.run_id)
    reached = _publish_until(cut, harvest, run, commits)
    assert reached == list(TABLES[:commits])

    assert finish_publishing.fn(replace(cut, run_id="the-next"), NOW) == [run.run_id]

    assert _content(cut) == _content(whole)
    assert not list(cut.open().list(publishing.PENDING))
    assert finish_publishing.fn(replace(cut, run_id="the-next-but-one"), NOW) == []


def _publish_until(context: RunContext, harvest: Harvest, run: RunRecord, commits: int) -> list[str]:
    """The record of intent and the first commits, as a run leaves them that is killed then."""
    other = _context_of(context, "other")
    publish.fn(other, harvest, run)
    store, mine = other.open(), context.open()
    publication = publishing._PUBLICATION.dump_json(Publication(harvest, run))
    mine.write(f"{publishing.PENDING}/{run.run_id}.json", publication)
    for name in TABLES[:commits]:
        for info in store.list(f"tables/{name}"):
            mine.write(info.key, store.read(info.key))
    return [name for name in TABLES if Tables(mine).version(name) >= 0]


def _context_of(context: RunContext, name: str) -> RunContext:
    return replace(context, store=f"{context.store}-{name}")


def test_two_who_complete_the_same_run_at_once_commit_it_once(
    finished: Shop, harvest: Harvest, run: RunRecord, tmp_path: Path
) -> None:
    context = _context(finished, tmp_path / "store", run.run_id)
    publish.fn(context, harvest, run)
    versions = {name: Tables(context.open()).version(name) for name in TABLES}
    publish.fn(context, harvest, run)
    assert {name: Tables(context.open()).version(name) for name in TABLES} == versions


def test_what_a_late_completion_retires_is_dated_by_it_and_once(
    finished: Shop, harvest: Harvest, run: RunRecord, tmp_path: Path
) -> None:
    context = _context(finished, tmp_path / "store", "run-1")
    publish.fn(context, harvest, replace(run, run_id="run-1"))
    retired, killed = harvest.images[0].image_id, replace(run, run_id="killed")
    publication = publishing._PUBLICATION.dump_json(Publication(Harvest((), (), (), (retired,), harvest.skus), killed))
    for days in (0, 1):
        context.open().write(f"{publishing.PENDING}/killed.json", publication)
        finish_publishing.fn(context, NOW + timedelta(days=days))
        rows = Tables(context.open()).read("images", ["image_id", "retired_at"]).to_pylist()
        assert [row for row in rows if row["retired_at"]] == [{"image_id": retired, "retired_at": NOW}]


def test_an_image_that_comes_back_is_described_by_its_new_bytes(
    finished: Shop, harvest: Harvest, run: RunRecord, tmp_path: Path
) -> None:
    first = _context(finished, tmp_path / "store", "run-1")
    publish.fn(first, harvest, replace(run, run_id="run-1"))
    old = harvest.images[0]
    other = replace(old, image_id="other", key="images/other.webp", sha256="0" * 64)
    publish.fn(replace(first, run_id="run-2"), Harvest((), (other,), ()), replace(run, run_id="run-2"))
    again = replace(old, key="images/again.webp", sha256="1" * 64)
    publish.fn(replace(first, run_id="run-3"), Harvest((), (again,), ()), replace(run, run_id="run-3"))
    rows = [row for row in Tables(first.open()).read("images").to_pylist() if row["slot"] == old.slot]
    live = [row for row in rows if row["retired_at"] is None]
    assert len(rows) == 2
    assert [(row["key"], row["sha256"], row["run_id"]) for row in live] == [("images/again.webp", "1" * 64, "run-3")]
