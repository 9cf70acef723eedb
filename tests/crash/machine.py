"""Publish, replace, retire, review, verify, gc, rollback, export, kills and concurrent runs, against a model.

The model is plain Python: which photo each live image shows, what people have rejected, what runs have seen of each
SKU, and what killed runs have left to be published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from catalog_schemas.errors import StoreError
from catalog_schemas.review import Verdict
from tasks.export import export
from tasks.publish import finish_publishing, publish
from tasks.publishing.publication import Harvest
from tasks.review_images import review_images
from tasks.storage.tables import Tables
from tasks.upkeep.collect_garbage import collect_garbage
from tasks.upkeep.roll_back import roll_back
from tasks.upkeep.verify import verify
from tests.crash.memory import memory_folder
from tests.crash.night import NightContext, context_of, image_id, image_key, make, picture, plan, run_record, slots_of
from tests.crash.soundness import read_tables, violations
from tests.crash.watched import Clock, ClockedStore, Killed, Operation, pass_on

GONE = 0  # in place of a photo: the SKU is not listed any more
PHOTOS = st.integers(GONE, 3)
CHANGES = st.lists(st.tuples(st.sampled_from(["mug", "vase", "lamp 3/ü"]), PHOTOS), min_size=1, max_size=2)

AGAIN = (-1, frozenset[Any]())  # what runs have seen of a SKU that they are to look at

Place = tuple[str, str]  # a SKU, and the slot among its images
Live = dict[Place, int]  # the photo that the live image shows
Image = tuple[str, int, str]  # a SKU, its photo, and the slot
Seen = dict[str, tuple[int, frozenset[Image]]]  # a SKU's photo, and what people had rejected of it


@dataclass(frozen=True)
class Begun:
    """A run that has made everything and published nothing: its images, those that it retires, and what it has seen."""

    context: NightContext
    harvest: Harvest
    made: Live
    retired: Live
    seen: Seen


class StoreMachine(RuleBasedStateMachine):
    """A store, and what should be in it. Subclasses take a promise out and see that it is missed."""

    begun = Bundle("begun")
    grace = timedelta(days=7)

    def __init__(self) -> None:
        super().__init__()
        self.folder = memory_folder()
        self.clock = Clock()
        self.store = self.open_store(f"{self.folder.name}/store")
        self.catalog: dict[str, int] = {}
        self.live: Live = {}
        self.seen: Seen = {}
        self.published: dict[Image, None] = {}  # ever, in order
        self.verdicts: dict[Image, Verdict] = {}
        # Killed runs that have written down what they publish, by id, and the tables that they have committed to.
        self.unfinished: dict[str, tuple[Begun, set[str]]] = {}
        self.running: dict[str, datetime] = {}
        self.versions: dict[int, Live] = {}
        self.runs = 0
        self.checked: Live = {}
        self.last_live: dict[Image, datetime] = {}
        self.rows = read_tables(self.store)

    def open_store(self, url: str) -> ClockedStore:
        return ClockedStore(url, self.clock)

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(changes=CHANGES)
    def run_a_night(self, changes: list[tuple[str, int]]) -> None:
        self.publish(self.begin(changes))

    @rule(target=begun, changes=CHANGES)
    def begin_a_run(self, changes: list[tuple[str, int]]) -> Begun:
        return self.begin(changes)

    @rule(run=consumes(begun))
    def publish_a_run(self, run: Begun) -> None:
        self.publish(run)

    @rule(changes=CHANGES, after=st.integers(0, 14))
    def kill_a_night_that_publishes(self, changes: list[tuple[str, int]], after: int) -> None:
        self.kill(self.begin(changes), after)

    @rule(run=consumes(begun), after=st.integers(0, 14))
    def kill_a_run_that_publishes(self, run: Begun, after: int) -> None:
        self.kill(run, after)

    @precondition(lambda self: self.published)
    @rule(data=st.data())
    def reject_an_image(self, data: Any) -> None:
        live = [(sku, photo, slot) for (sku, slot), photo in self.live.items()]
        self.review(Verdict.REJECTED, data.draw(st.sampled_from([*live, *self.published])))

    @precondition(lambda self: self.rejected)
    @rule(data=st.data())
    def approve_an_image_after_all(self, data: Any) -> None:
        self.review(Verdict.APPROVED, data.draw(st.sampled_from(self.rejected)))

    @precondition(lambda self: self.published)
    @rule(days=st.sampled_from([0, 3, 8]))
    def collect_garbage_later(self, days: int) -> None:
        wait = timedelta(days=days)
        oldest = min(self.running.values(), default=self.clock.now())
        if self.clock.now() + wait - oldest < self.grace or not self.running:  # longer than the longest run
            self.clock.advance(wait)
        try:
            collect_garbage(self.store, self.grace, self.clock.now(), dry_run=False)
        except StoreError as error:
            assert "has not ended" in str(error)  # noqa: PT017
        until = self.clock.now() - self.grace
        for image, at in self.last_live.items():
            assert at < until or self.store.exists(image_key(*image)), f"{image} was live within the grace period"

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def roll_back_to_a_version(self, data: Any) -> None:
        version = data.draw(st.sampled_from(sorted(self.versions)))
        try:
            roll_back(self.store, version, self.name("rollback"), self.clock.now())
        except StoreError as error:
            assert any(why in str(error) for why in ("are deleted", "keeps", "no image would be live"))  # noqa: PT017
            self.finish()
        else:
            self.finish()
            self.bring_back(self.not_rejected(self.versions[version]))
            self.remember()

    @precondition(lambda self: self.live)
    @rule()
    def verify_and_export(self) -> None:
        assert verify(self.store, lambda *_: None).faults == ()
        tree = Path(self.folder.name) / "tree"  # the same each time
        assert export(self.store, "tree", tree, "", "").images == len(self.live)
        assert {file.name for file in tree.rglob("*.jpg")} == {
            row["key"].rpartition("/")[2] for row in self.rows["images"] if row["retired_at"] is None
        }

    @invariant()
    def the_store_is_sound_and_shows_what_the_model_says(self) -> None:
        self.last_live |= {(sku, photo, slot): self.clock.now() for (sku, slot), photo in self.live.items()}
        if not self.store.changed and self.live == self.checked:
            return
        self.checked = dict(self.live)
        self.rows |= read_tables(self.store, {key.split("/")[1] for key in self.store.changed if key[:7] == "tables/"})
        self.store.changed.clear()
        assert violations(self.store, self.rows) == []
        shown = {row["image_id"] for row in self.rows["images"] if row["retired_at"] is None}
        assert shown == {image_id(sku, photo, slot) for (sku, slot), photo in self.live.items()}
        assert shown.isdisjoint(image_id(*image) for image in self.rejected)

    @property
    def rejected(self) -> list[Image]:
        return [image for image, verdict in self.verdicts.items() if verdict == Verdict.REJECTED]

    def not_rejected(self, images: Live) -> Live:
        return {(sku, slot): photo for (sku, slot), photo in images.items() if (sku, photo, slot) not in self.rejected}

    def name(self, kind: str) -> str:
        self.runs += 1
        return f"{kind}-{self.runs}"

    def begin(self, changes: list[tuple[str, int]]) -> Begun:
        """Everything that a run does before it publishes."""
        self.catalog = {sku: photo for sku, photo in (self.catalog | dict(changes)).items() if photo != GONE}
        context = context_of(self.store, self.name("run"), self.clock.now())
        self.store.write(f"runs/{context.run_id}/config.json", b"{}")
        self.running[context.run_id] = self.clock.now()
        assert set(finish_publishing.fn(context, self.clock.now())) == set(self.unfinished)
        self.finish()
        seen, made, retired = self.expected()
        work = plan(self.store, self.catalog)
        assert {(sku, slot): work.photos[sku] for sku, slots in work.slots.items() for slot in slots} == made
        assert set(work.retired) == {image_id(sku, photo, slot) for (sku, slot), photo in retired.items()}
        return Begun(context, make(context, work), made, retired, seen)

    def expected(self) -> tuple[Seen, Live, Live]:
        """What a run has to look at, to make and to retire."""
        refused = {picture(*image) for image in self.rejected}
        now = {sku: (photo, frozenset(i for i in self.rejected if i[0] == sku)) for sku, photo in self.catalog.items()}
        now |= {sku: (GONE, frozenset()) for sku in self.seen.keys() - self.catalog.keys()}
        seen = {sku: what for sku, what in now.items() if self.seen.get(sku) != what}
        wanted = {(s, slot): p for s, (p, _) in seen.items() if p != GONE for slot in slots_of(s, p, refused)}
        made = {place: photo for place, photo in wanted.items() if self.live.get(place) != photo}
        retired = {place: photo for place, photo in self.live.items() if place[0] in seen and place not in wanted}
        return seen, made, retired

    def publish(self, run: Begun) -> None:
        publish.fn(run.context, run.harvest, run_record(run.context, run.harvest, self.clock.now()))
        self.store.write(f"runs/{run.context.run_id}/report/summary.json", b"{}")
        del self.running[run.context.run_id]
        self.show(run)
        self.seen |= run.seen

    def kill(self, run: Begun, after: int) -> None:
        """The run publishes, and is killed before one of its operations."""
        left, committed = after, set[str]()

        def hook(operation: Operation, call: Callable[[], Any]) -> Any:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            result = call()
            path = operation.keys[0]
            if operation.kind == "commit" and not path.endswith(f"{0:020}.json"):  # which creates the table
                committed.add(path.split("/")[1])
            return result

        self.store.hook = hook
        try:
            publish.fn(run.context, run.harvest, run_record(run.context, run.harvest, self.clock.now()))
        except Killed:
            if after:  # the first operation writes down what is to be published
                self.unfinished[run.context.run_id] = run, committed
            if "images" in committed:
                self.show(run)
            if "skus" in committed:
                self.seen |= run.seen
        else:
            self.show(run)
            self.seen |= run.seen
        finally:
            self.store.hook = pass_on
            del self.running[run.context.run_id]

    def show(self, run: Begun) -> None:
        """A run's images come about, and what it retires goes unless something else has taken its place."""
        self.published |= dict.fromkeys((sku, photo, slot) for (sku, slot), photo in run.made.items())
        self.live |= self.not_rejected(run.made)
        self.live = {place: photo for place, photo in self.live.items() if run.retired.get(place) != photo}
        self.remember()

    def finish(self) -> None:
        """What killed runs had begun to publish is published, in the order of their names."""
        for _, (run, committed) in sorted(self.unfinished.items()):
            if "images" not in committed:
                self.show(run)
            if "skus" not in committed:
                self.seen |= run.seen
        self.unfinished = {}

    def review(self, verdict: Verdict, image: Image) -> None:
        """What is rejected goes, and what is approved after all comes back while its bytes are there."""
        sku, photo, slot = image
        key, [row] = image_key(*image), [row for row in self.rows["images"] if row["image_id"] == image_id(*image)]
        there = self.store.exists(key)
        assert there or row["retired_at"] < self.clock.now() - self.grace
        review_images(self.store, {verdict: key}, "", self.name("review"), self.clock.now())
        self.finish()
        if verdict == Verdict.APPROVED and image in self.rejected and there:
            self.bring_back({(sku, slot): photo} | self.live)
        self.verdicts[image] = verdict
        self.live = self.not_rejected(self.live)
        self.remember()

    def bring_back(self, live: Live) -> None:
        """Shows these images; the next run looks at SKUs that were gone and of which some have come back."""
        back = {sku for (sku, _), _ in live.items() - self.live.items()}
        self.live = live
        self.seen = {sku: AGAIN if sku in back and what[0] == GONE else what for sku, what in self.seen.items()}

    def remember(self) -> None:
        """What the current version of the images shows."""
        version = Tables(self.store).version("images")
        if version >= 0:
            self.versions[version] = dict(self.live)
