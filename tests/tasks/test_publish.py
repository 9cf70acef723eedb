"""What the tables keep of what a run has made or seen."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.review import Verdict
from catalog_schemas.sku import TO_LOOK_AT, SkuRecord
from configs.schema import RunConfig
from tasks.plan import make_plan
from tasks.planning.rows import Selection
from tasks.publish import publish, sku_records
from tasks.publishing import publication
from tasks.publishing.publication import Harvest, Publication, are_publications_left, complete_publications
from tasks.review_images import review_images
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import with_retired_at
from tasks.storage.tables import Tables
from tests.configs_tiny import tiny_config
from tests.crash.night import EPOCH, adapter_record, context_of, image_record, rejection, run_record
from tests.drawn_products import product_row, write_catalog, write_photos


def test_the_row_of_an_adapter_speaks_of_its_first_file_until_that_is_retired(tmp_path: Path) -> None:
    """Of two runs that train the same adapter at once, the first file counts."""
    store = ObjectStore(str(tmp_path))

    def published(run_id: str, sha256: str) -> list[str]:
        context = context_of(store, run_id)
        record = replace(adapter_record(context, "mug", 1)[0], sha256=sha256)
        harvest = Harvest((record,), (), ())
        publish.fn(context, harvest, run_record(context, harvest, EPOCH))
        return Tables(store).live_adapters(["sha256"])["sha256"].to_pylist()

    assert published("one", "first") == published("two", "second") == ["first"]
    tables = Tables(store)
    tables.merge("adapters", with_retired_at(tables.live_adapters(), EPOCH), "gc", ("retired_at",))
    assert published("three", "third") == ["third"]


def test_a_run_that_began_before_an_image_was_rejected_does_not_bring_it_back(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))

    def shown_after(run_id: str, photo: int) -> list[str]:
        context = context_of(store, run_id)
        record, data = image_record(context, "mug", photo, "front")
        store.write(record.key, data)
        harvest = Harvest((), (record,), ())
        publish.fn(context, harvest, run_record(context, harvest, EPOCH))
        return Tables(store).live_images(["key"])["key"].to_pylist()

    [old] = shown_after("one", 1)
    review_images(store, {Verdict.REJECTED: old}, "", "review", EPOCH)
    assert shown_after("late-1", 1) == []
    [new] = shown_after("two", 2)
    assert shown_after("late-2", 1) == [new], "nor does it take a place"


def test_what_a_killed_run_made_is_of_the_run_that_publishes_it_and_what_is_refused_again_of_the_last(
    tmp_path: Path,
) -> None:
    store = ObjectStore(str(tmp_path))
    killed = context_of(store, "killed")
    refused = tuple(replace(rejection(killed, sku), detail="as it was") for sku in ("bad", "worse"))
    made = (adapter_record(killed, "mug", 1)[0],), (image_record(killed, "mug", 1, "front")[0],), refused[:1]
    for run_id, harvest in (
        ("one", Harvest(*made, superseded=refused[1:])),
        ("two", Harvest((), (), (replace(refused[0], detail="as it is"),))),
    ):
        context = context_of(store, run_id)
        publish.fn(context, harvest, run_record(context, harvest, EPOCH))
    tables = Tables(store)
    assert [tables.read(name)["run_id"].to_pylist() for name in ("adapters", "images")] == [["one"], ["one"]]
    rows = tables.read("rejections", ["sku", "run_id", "detail"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rows) == [("bad", "two", "as it is"), ("worse", "one", "as it was")]


@pytest.mark.parametrize(("days", "later"), [(1, 1), (-1, 0)])
def test_what_a_killed_run_retires_was_live_until_it_is_completed_and_at_least_until_the_run_ended(
    tmp_path: Path, days: int, later: int
) -> None:
    store = ObjectStore(str(tmp_path))
    one, left = context_of(store, "one"), context_of(store, "left")
    image = image_record(one, "mug", 1, "front")[0]
    shown = Harvest((), (image,), ())
    publish.fn(one, shown, run_record(one, shown, EPOCH))
    seen = SkuRecord("mug", left.catalog, "", "published", 0, "left", EPOCH)
    harvest = Harvest((), (), (), (image.image_id,), (seen,))
    intent = publication._PUBLICATION.dump_json(Publication(harvest, run_record(left, harvest, EPOCH)))
    store.write(f"{publication.PENDING}/left.json", intent)
    assert complete_publications(store, EPOCH + timedelta(days)) == ["left"]
    assert Tables(store).read("images")["retired_at"].to_pylist() == [EPOCH + timedelta(later)]
    assert not are_publications_left(store)


def test_a_run_that_ends_while_another_would_complete_it_is_left_alone(tmp_path: Path) -> None:
    class Overtaken(ObjectStore):
        def read(self, key: str) -> bytes:
            self.delete([key])
            return super().read(key)

    store = Overtaken(str(tmp_path))
    store.write(f"{publication.PENDING}/other.json", b"{}")
    assert complete_publications(store, EPOCH) == []


@pytest.mark.parametrize(
    ("reasons", "remembered"),
    [
        ([Reason.REFERENCE_UNREACHABLE], ""),
        ([Reason.ADAPTER_LOST], TO_LOOK_AT),
        ([Reason.ADAPTER_LOST, Reason.REFERENCE_UNREACHABLE], ""),
        ([Reason.REFERENCE_BLANK], None),
    ],
)
def test_a_product_is_looked_at_again_where_a_photo_or_its_adapter_could_not_be_had(
    tmp_path: Path, reasons: list[Reason], remembered: str | None
) -> None:
    """Without any fingerprint it waits behind new products, for a photo may be away for good; an adapter is not."""
    photos, now = write_photos(tmp_path / "photos", 0, 1, side=64), datetime.now(UTC)
    catalog = write_catalog(tmp_path / "catalog.parquet", [product_row("mug-1", **photos)])
    config = RunConfig.model_validate(tiny_config(Path("model")))
    context = RunContext("run", str(catalog), str(tmp_path / "store"), config, ModelFolder("", "", 64, ""), now)
    plan = make_plan(context, Selection())
    verdicts = tuple(Rejection("mug-1", "stage", reason, "0.png", "away", "run", now) for reason in reasons)
    [record] = sku_records(context, plan, list(plan.jobs), Harvest((), (), verdicts))
    seen = plan.fingerprints["mug-1"] if remembered is None else remembered
    assert (record.status, record.fingerprint) == ("published", seen)
    assert (record.title, record.category) == ("The mug-1", "Home > Kitchen")
