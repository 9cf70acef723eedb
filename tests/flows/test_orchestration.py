"""How a run shows in Prefect: few task runs, each named for its work; and the merchandisers' flow."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from catalog_schemas.errors import CatalogError, ConfigError
from flows.make_variants import make_variants
from flows.parameters import MakeVariantsParameters
from flows.refresh_catalog import refresh_catalog
from tasks.runtime import progress
from tasks.runtime.pictures import read_picture
from tasks.upkeep.collect_garbage import collect_garbage
from tests.flows.shop import Shop, artifacts_of, assert_sound


def _runs(flow_run: UUID) -> list[TaskRun]:
    with get_client(sync_client=True) as client:
        return client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))


def test_task_runs_are_named_per_cohort_and_chunk_and_never_per_image(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    shop.changes = {"compute": {"chunk_size": 4}}
    for number in range(3):
        shop.add(f"sku-{number}", number)
    state = refresh_catalog(shop.parameters(), return_state=True)
    assert state.is_completed()
    flow_run = state.state_details.flow_run_id
    runs = _runs(flow_run)
    verbs = Counter(run.name.split()[0] for run in runs)
    assert verbs["train"] == 2, "two cohorts of two"
    assert verbs["generate"] == verbs["check"] == verbs["finish"] == 5, (
        "18 images in chunks of four, and no publishing of an earlier run to finish"
    )
    assert len(runs) < 18 + 6
    names = {run.name for run in runs}
    assert {"train sku-0 and 1 more", "train sku-2", "generate sku-0 and 3 more"} <= names
    tags = {run.name.split()[0]: set(run.tags) for run in runs}
    assert tags["train"] == tags["generate"] == {"gpu"}
    assert tags["check"] == tags["prepare"] == set(), "a tag costs a call to the server, and a lock of its database"
    kinds = Counter(artifact.type for artifact in artifacts_of(flow_run))
    assert kinds["table"] >= 1
    assert kinds["markdown"] >= 1
    assert kinds["progress"] >= 2


def test_a_flow_has_no_thread_that_it_waits_for_at_its_end(prefect: str) -> None:
    """Prefect's heartbeats come from one that sleeps a second at a time."""

    @flow
    def names() -> set[str]:
        return {thread.name for thread in threading.enumerate()}

    names()  # what Prefect starts once for a process
    before = {thread.name for thread in threading.enumerate()}
    assert names() <= before


def _asked(shop: Shop, **fields: object) -> MakeVariantsParameters:
    return MakeVariantsParameters.model_validate(shop.parameters().model_dump(exclude={"limit"}) | fields)


def test_a_place_in_a_merchandisers_own_words_is_the_scene_or_comes_to_those_chosen(open_shop: Shop) -> None:
    asked = {"skus": ["vase-2"], "place": " a mossy rock,  in fog", "techniques": ["composite", "regenerate"]}
    outcome = make_variants(_asked(open_shop, **asked, colours=["original"]))
    assert outcome
    assert outcome.record.images_published == 2
    made = {row["technique"]: row for row in open_shop.live() if row["run_id"] == outcome.record.run_id}
    assert {row["scene"] for row in made.values()} == {"a-mossy-rock-in-fog"}
    assert made["composite"]["prompt"] == "an empty mossy rock, in fog"
    assert made["regenerate"]["prompt"].endswith(", on a mossy rock, in fog")
    assert made["composite"]["alt_text"].endswith(", a mossy rock in fog")

    again = make_variants(_asked(open_shop, **asked, colours=["original"], scenes=["beach-sand"]))
    assert again
    assert (again.record.images_published, again.record.images_skipped) == (2, 2)
    assert not open_shop.plan().retired, "a night keeps them"
    with pytest.raises(ConfigError, match="the place in your own words: expected a place in 1 to 200 letters"):
        make_variants(_asked(open_shop, **asked | {"place": "!!"}))


def test_a_merchandisers_own_colours_are_the_colours_or_come_to_those_chosen(open_shop: Shop) -> None:
    asked = {"skus": ["vase-2"], "own_colours": "#1A7F5A, 1a7f5a", "own_backgrounds": "#f5efe6"}
    asked |= {"techniques": ["packshot", "regenerate"]}
    outcome = make_variants(_asked(open_shop, **asked))
    assert outcome
    assert outcome.record.images_published == 2
    made = {row["technique"]: row for row in open_shop.live() if row["run_id"] == outcome.record.run_id}
    assert {(row["colour"], row["background"]) for row in made.values()} == {("hex-1a7f5a", "hex-f5efe6")}
    assert {row["alt_text"] for row in made.values()} == {f"{made['packshot']['title']} in green"}
    assert "/plain_hex-1a7f5a_hex-f5efe6_packshot_0-" in made["packshot"]["key"]
    assert made["regenerate"]["prompt"].startswith("a photo of a green ")
    assert made["regenerate"]["prompt"].endswith(", plain cream background")
    corner = read_picture(open_shop.objects, made["packshot"]["key"])[2, 2]
    assert np.abs(corner.astype(int) - (0xF5, 0xEF, 0xE6)).max() <= 2, "WebP is lossy"

    again = make_variants(_asked(open_shop, **asked | {"backgrounds": ["sage"]}))
    assert again
    assert (again.record.images_published, again.record.images_skipped) == (2, 2)
    assert not open_shop.plan().retired, "a night keeps them"
    with pytest.raises(ConfigError, match="own backgrounds: expected a colour such as #1a7f5a or #abc, got 'creamy'"):
        make_variants(_asked(open_shop, **asked | {"own_backgrounds": "#f5efe6 creamy"}))


def test_a_merchandiser_gets_what_was_chosen_and_only_that(open_shop: Shop) -> None:
    before = {row["image_id"] for row in open_shop.live()}
    outcome = make_variants(
        _asked(open_shop, skus=["vase-2"], scenes=["beach-sand"], colours=["sage"], techniques=["composite"], images=2)
    )
    assert outcome
    assert (outcome.record.skus_input, outcome.record.images_published, outcome.record.adapters_trained) == (1, 2, 0)
    new = [row for row in open_shop.live() if row["image_id"] not in before]
    assert {(row["sku"], row["scene"], row["colour"], row["technique"]) for row in new} == {
        ("vase-2", "beach-sand", "sage", "composite")
    }
    assert len({row["seed"] for row in new}) == 2
    assert before < {row["image_id"] for row in open_shop.live()}
    assert_sound(open_shop)
    assert not open_shop.plan().retired, "the night leaves what a person asked for"


def test_a_dry_run_shows_what_would_be_made_and_makes_nothing(open_shop: Shop) -> None:
    keys = open_shop.keys("")
    asked = _asked(open_shop, skus=["mug-1"], scenes=["beach-sand"], own_colours="#1A7F5A", dry_run=True)
    state = make_variants(asked, return_state=True)
    assert state.result() is None
    (plan,) = artifacts_of(state.state_details.flow_run_id)
    assert "beach-sand_hex-1a7f5a_scene_composite_0" in str(plan.data)
    assert open_shop.keys("") == keys


def test_a_category_selects_its_products(open_shop: Shop) -> None:
    open_shop.rows[0]["category"] = "Home > Bath"
    outcome = make_variants(_asked(open_shop, category="bath", scenes=["beach-sand"], limit_per_sku=1))
    assert outcome
    assert outcome.record.skus_input == 1


def test_a_product_that_is_gone_before_its_first_night_is_retired_with_what_was_asked_for(open_shop: Shop) -> None:
    open_shop.add("mug-O4", 3, attributes={"handle": "mug-4"})
    make_variants(_asked(open_shop, skus=["mug-O4"], scenes=["beach-sand"], limit_per_sku=1))
    assert [row["handle"] for row in open_shop.table("skus") if row["sku"] == "mug-O4"] == ["mug-4"]
    del open_shop.rows[-1]
    assert open_shop.run().record.images_retired == 1
    assert {row["sku"] for row in open_shop.live()} == {"mug-1", "vase-2", "lamp 3/ü"}
    assert open_shop.plan().skipped == 3
    assert_sound(open_shop)


def test_a_sku_that_is_not_in_the_catalog_is_said_at_once_and_the_run_has_ended(open_shop: Shop) -> None:
    with pytest.raises(ConfigError, match=r"vase-3 \(did you mean vase-2\?\)"):
        make_variants(_asked(open_shop, skus=["mug-1", "vase-3"]))
    collect_garbage(open_shop.objects, timedelta(days=7), datetime.now(UTC), dry_run=True)  # does not wait for it


def test_a_chosen_sku_whose_row_is_bad_is_quarantined_with_its_reason(open_shop: Shop) -> None:
    open_shop.rows[0]["class_noun"] = ""
    outcome = make_variants(_asked(open_shop, skus=["mug-1", "vase-2"], scenes=["beach-sand"], limit_per_sku=1))
    assert outcome
    assert (outcome.record.skus_input, outcome.record.skus_quarantined, outcome.record.skus_published) == (2, 1, 1)
    assert open_shop.reasons() == [("mug-1", "row_field_missing")]


def test_where_there_is_no_catalog_no_store_is_begun(shop: Shop) -> None:
    asked = shop.parameters()
    Path(asked.catalog).unlink()
    with pytest.raises(CatalogError, match="found none"):
        refresh_catalog(asked)
    assert not Path(shop.store).exists()
