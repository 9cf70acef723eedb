"""Publish, replace, retire, verify, gc, rollback, export, kills and concurrent runs, in any order, against a model.

The model is plain Python: which photo each SKU's live images show, and what killed runs have left to be published.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from catalog_schemas.errors import StoreError
from tasks.export import export
from tasks.publish import Harvest, finish_publishing, publish
from tasks.storage.tables import Tables
from tasks.upkeep.collect_garbage import collect_garbage
from tasks.upkeep.roll_back import roll_back
from tasks.upkeep.verify import verify
from tests.crash.memory import memory_folder
from tests.crash.night import SLOTS, NightContext, context_of, image_id, make, plan, run_record
from tests.crash.soundness import read_tables, violations
from tests.crash.watched import Clock, ClockedStore, Killed, Operation, pass_on

SKUS = st.sampled_from(["mug", "vase", "lamp 3/ü"])
PHOTOS = st.integers(1, 3)

Live = dict[str, int]  # SKU to the version of the photo that its live images show


@dataclass(frozen=True)
class Begun:
    """A run that has made everything and published nothing: its images, and those that it retires."""

    context: NightContext
    harvest: Harvest
    made: Live
    retired: Live


class StoreMachine(RuleBasedStateMachine):
    """A store, and what should be in it. Subclasses take a promise out and see that it is missed."""

    begun = Bundle("begun")
    grace = timedelta(days=7)

    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.clock = Clock()
        self.store = self.open_store(f"{self.folder.name}/store")
        self.catalog: Live = {}
        self.live: Live = {}
        # Killed runs that have written down what they publish, by id, and whether their images are committed.
        self.unfinished: dict[str, tuple[Begun, bool]] = {}
        self.running: dict[str, datetime] = {}
        self.versions: dict[int, Live] = {}
        self.runs = 0
        self.checked: Live = {}
        self.rows = read_tables(self.store)

    def open_store(self, url: str) -> ClockedStore:
        return ClockedStore(url, self.clock)

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(sku=SKUS, photo=PHOTOS)
    def list_a_product_or_change_its_photo(self, sku: str, photo: int) -> None:
        self.catalog[sku] = photo

    @rule(sku=SKUS)
    def delist_a_product(self, sku: str) -> None:
        self.catalog.pop(sku, None)

    @rule()
    def run_a_night(self) -> None:
        self.publish(self.begin())

    @rule(target=begun)
    def begin_a_run(self) -> Begun:
        return self.begin()

    @rule(run=consumes(begun))
    def publish_a_run(self, run: Begun) -> None:
        self.publish(run)

    @rule(run=consumes(begun), after=st.integers(0, 14))
    def kill_a_run_that_publishes(self, run: Begun, after: int) -> None:
        left, images_committed = after, False

        def hook(operation: Operation, call: Callable[[], Any]) -> Any:
            nonlocal left, images_committed
            if left == 0:
                raise Killed
            left -= 1
            result = call()
            path = operation.keys[0]
            created = path.endswith(f"{0:020}.json")
            images_committed |= operation.kind == "commit" and path.startswith("tables/images/") and not created
            return result

        self.store.hook = hook
        try:
            publish.fn(run.context, run.harvest, run_record(run.context, run.harvest))
        except Killed:
            if after:  # the first operation writes down what is to be published
                self.unfinished[run.context.run_id] = run, images_committed
            if images_committed:
                self.apply(run)
        else:
            self.apply(run)
        finally:
            self.store.hook = pass_on
            del self.running[run.context.run_id]

    @rule()
    def verify_the_store(self) -> None:
        assert verify(self.store, lambda *_: None).faults == ()

    @rule(days=st.sampled_from([0, 3, 8]), rehearse=st.booleans())
    def collect_garbage_later(self, days: int, rehearse: bool) -> None:
        wait = timedelta(days=days)
        oldest = min(self.running.values(), default=self.clock.now())
        if self.clock.now() + wait - oldest < self.grace or not self.running:  # longer than the longest run
            self.clock.advance(wait)
        try:
            collect_garbage(self.store, self.grace, self.clock.now(), rehearse)
        except StoreError as error:
            assert "has not ended" in str(error)  # noqa: PT017

    @rule(data=st.data())
    def roll_back_to_a_version(self, data: Any) -> None:
        if not self.versions:
            return
        version = data.draw(st.sampled_from(sorted(self.versions)))
        self.runs += 1
        try:
            roll_back(self.store, version, f"rollback-{self.runs}", self.clock.now())
        except StoreError as error:
            assert "are deleted" in str(error) or "keeps" in str(error)  # noqa: PT017
            self.finish()
        else:
            self.finish()
            self.live = dict(self.versions[version])
            self.remember()

    @rule()
    def export_the_tree(self) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder.name) as to:
            try:
                assert export(self.store, "tree", Path(to), "", "") == len(SLOTS) * len(self.live)
            except StoreError as error:
                assert "nothing to export" in str(error) and not self.live  # noqa: PT017, PT018

    @invariant()
    def the_store_is_sound_and_shows_what_the_model_says(self) -> None:
        if not self.store.changed and self.live == self.checked:
            return
        self.checked = dict(self.live)
        self.rows |= read_tables(self.store, {key.split("/")[1] for key in self.store.changed if key[:7] == "tables/"})
        self.store.changed.clear()
        assert violations(self.store, self.rows) == []
        shown = {row["image_id"] for row in self.rows["images"] if row["retired_at"] is None}
        assert shown == {image_id(sku, photo, slot) for sku, photo in self.live.items() for slot in SLOTS}

    def begin(self) -> Begun:
        """Everything that a run does before it publishes."""
        self.runs += 1
        context = context_of(self.store, f"run-{self.runs}", self.clock.now())
        self.store.write(f"runs/{context.run_id}/config.json", b"{}")
        self.running[context.run_id] = self.clock.now()
        assert set(finish_publishing.fn(context)) == set(self.unfinished)
        self.finish()
        work = plan(self.store, self.catalog)
        retired = {sku: photo for sku, photo in self.live.items() if sku in work.gone}
        assert set(work.retired) == {image_id(sku, photo, slot) for sku, photo in retired.items() for slot in SLOTS}
        return Begun(context, make(context, work), dict(work.photos), retired)

    def publish(self, run: Begun) -> None:
        publish.fn(run.context, run.harvest, run_record(run.context, run.harvest))
        self.store.write(f"runs/{run.context.run_id}/report/summary.json", b"{}")
        del self.running[run.context.run_id]
        self.apply(run)

    def apply(self, run: Begun) -> None:
        """A run's images come about, and what it retires goes unless something else has taken its place."""
        self.live |= run.made
        self.live = {sku: photo for sku, photo in self.live.items() if run.retired.get(sku) != photo}
        self.remember()

    def finish(self) -> None:
        """What killed runs had begun to publish is published, in the order of their names."""
        for _, (run, images_committed) in sorted(self.unfinished.items()):
            if not images_committed:
                self.apply(run)
        self.unfinished = {}

    def remember(self) -> None:
        """What the current version of the images shows."""
        version = Tables(self.store).version("images")
        if version >= 0:
            self.versions[version] = dict(self.live)
