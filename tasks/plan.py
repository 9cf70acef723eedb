"""Compares the catalog and the configuration with the store, and lists what is missing, and why."""

import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice, zip_longest

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.arrow import schema_of
from catalog_schemas.errors import ConfigError, Rejected
from catalog_schemas.identity import canonical_json, content_id
from catalog_schemas.plan import Plan, PlannedVariant, SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from configs.schema import Channel
from tasks.checks import asks_scorer, find_check
from tasks.context import RunContext
from tasks.planning.changes import Changes, read_changes
from tasks.planning.known import Known, class_adapters, slot_of
from tasks.planning.known_photos import KnownPhotos, Listed, is_passing, without_placeholders
from tasks.planning.let_through import let_through
from tasks.planning.look import look_at
from tasks.planning.matrix import Drawing, expand
from tasks.planning.photos import fetched_key, no_usable_photo
from tasks.planning.unknown_skus import refuse_unknown
from tasks.read_catalog import RowReader, catalog_batches
from tasks.retrying import RETRIES
from tasks.storage.sources import Sources, is_web
from tasks.storage.tables import Tables
from tasks.versions import FINISHER_VERSION, GATE_VERSION, RENDERER_VERSION, TRAINER_VERSION

STAGE = "plan"
SAMPLER = {"steps", "guidance", "scheduler"}  # of the generation, as training draws
CLASS_PHOTOS = 256  # that a class adapter learns from at most: the first of each SKU, then the second …


@dataclass(frozen=True)
class Selection:
    """Which products of the catalog a run is about; empty fields select all.

    Of the whole catalog, `limit` are looked at in one run, where it is not 0: the others wait for the next ones.
    """

    skus: tuple[str, ...] = ()
    category: str = ""
    limit: int = 0

    @property
    def is_all(self) -> bool:
        """Whether the whole catalog is meant, and what it has no more is to be retired."""
        return not self.skus and not self.category

    def holds(self, product: Product) -> bool:
        """Whether the product is meant: its SKU is named, and its category contains the one asked for."""
        named = not self.skus or product.sku in self.skus
        return named and self.category.lower() in product.category.lower()


@dataclass
class _Counts:
    """What is not a job: counted, or refused."""

    rows: int = 0
    skipped: int = 0
    images_skipped: int = 0
    images_refused: int = 0
    quarantined: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    retired: list[str] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)


@task(name="plan", **RETRIES)
def plan_run(context: RunContext, selection: Selection) -> Plan:
    """`make_plan` as a stage: also writes `runs/<run_id>/plan.parquet`, a row per variant to make, and the photos that
    were fetched from the web, for the stage that prepares them.
    """
    store = context.open()
    plan = make_plan(context, selection, lambda content, data: store.write(fetched_key(content), data))
    buffer = io.BytesIO()
    pq.write_table(plan_table(plan), buffer)
    store.write(f"runs/{context.run_id}/plan.parquet", buffer.getvalue())
    return plan


def plan_table(plan: Plan) -> pa.Table:
    """The plan's variants, a row each, with their reasons."""
    rows = [
        asdict(one.spec)
        | {"variant_id": one.spec.id, "channels": one.channels, "reason": one.reason, "train": job.train}
        for job in plan.jobs
        for one in job.variants
    ]
    extra = {"variant_id": pa.string(), "channels": pa.list_(pa.string()), "reason": pa.string(), "train": pa.string()}
    return pa.Table.from_pylist(
        rows, schema=pa.schema([*schema_of(VariantSpec), *map(pa.field, extra, extra.values())])
    )


def make_plan(context: RunContext, selection: Selection, keep: Callable[[str, bytes], None] | None = None) -> Plan:
    """The work of a run; reads, and writes nothing, but that `keep` gets the photos that were fetched from the web.

    The catalog is read once, in batches. Of a whole catalog only the rows that have changed since the run before are
    looked at, so memory and time follow what has changed. Raises CatalogError, ConfigError and StoreError.
    """
    store = context.open()
    tables, sources = Tables(store), Sources(context.catalog, context.config.catalog)
    known_photos = KnownPhotos(context, tables)
    if any(map(is_web, context.config.catalog.reference_prefixes)):
        sources.seen, sources.keep = known_photos.seen(), keep
    changes = read_changes(context, tables, sources) if selection.is_all else None
    counts = _Counts()
    products = list(_products(context, selection, changes, counts))
    waiting = [] if changes is None else changes.put_off(products, selection.limit)
    gone = [] if changes is None else changes.gone()
    with look_at(context, known_photos, sources) as look:
        listed = look.at(products)
        placeholders = look.placeholders(products, listed, gone, changes)
    known = Known.of(store, [product.sku for product in products] + gone)
    counts.quarantined += [rejection.sku for rejection in counts.rejections]
    if changes is not None:
        counts.skipped += len(changes.passed["published"])
        counts.quarantined += changes.passed["quarantined"]
        counts.images_skipped += changes.images
    counts.rows = len(products) + len(waiting) + counts.skipped + len(counts.quarantined)
    photos = [] if changes is None else known_photos.news(products, listed, gone)
    planner = _Planner(context, known, retires=changes is not None)
    usable = let_through(context, products, [without_placeholders(one, placeholders) for one in listed])
    if context.config.training.start_from:
        planner.find_classes(products, [found for found, _ in usable])
    jobs = list(planner.jobs(products, usable, counts))
    return Plan(
        jobs=tuple(jobs),
        rows=counts.rows,
        skipped=counts.skipped,
        waiting=len(waiting),
        quarantined=tuple(counts.quarantined),
        rejections=tuple(counts.rejections),
        images_skipped=counts.images_skipped + counts.held.total(),
        images_refused=counts.images_refused,
        held=dict(counts.held),
        fingerprints={} if changes is None else changes.fingerprints,
        retired=(*counts.retired, *known.images_of(gone)),
        gone=tuple(gone),
        classes=tuple(planner.new_classes),
        photos=tuple(photos),
        listings={} if changes is None else {product.sku: product.listing for product in products},
    )


def _products(context: RunContext, selection: Selection, changes: Changes | None, counts: _Counts) -> Iterator[Product]:
    """The products to look at; refused rows are counted."""
    reader = RowReader(context.run_id, context.started_at)
    first, some = 1, False
    for batch in catalog_batches(context.catalog):
        chosen = dict.fromkeys(range(len(batch)), "") if changes is None else changes.select(batch)
        rows = batch.take(pa.array(chosen, pa.int64())).to_pylist(maps_as_pydicts="lossy")
        if changes is not None:
            reader.seen |= {sku for at, sku in enumerate(batch["sku"].to_pylist()) if at not in chosen}
        verdicts = reader.read(rows, [first + position for position in chosen])
        if changes is not None:
            accepted = zip(verdicts.products, verdicts.numbers, strict=True)
            changes.fingerprints |= {product.sku: chosen[number - first] for product, number in accepted}
        held = [product for product in verdicts.products if selection.holds(product)]
        counts.rejections += [one for one in verdicts.rejections if changes is not None or one.sku in selection.skus]
        some |= bool(held)
        yield from held
        first += len(batch)
    if changes is not None:
        changes.refuse_a_broken_catalog(context)
    refuse_unknown(selection.skus, reader.seen | {rejection.sku for rejection in counts.rejections})
    if not some and not counts.rejections and not selection.is_all:
        raise ConfigError(f"no product of {context.catalog} is in the category {selection.category!r}")


def _recipe(context: RunContext) -> str:
    """All that decides adapters besides model and photos: how images are drawn, and what judges them, where training
    draws and judges some."""
    training, generation = context.config.training, context.config.generation
    draws = training.prior_images or training.evaluation
    sampler = generation.model_dump(mode="json", include=SAMPLER) if draws else {}
    scorer = context.model.scorer_identity if training.evaluation else ""
    own = {"resolution": context.resolution, "sampler": sampler, "scorer": scorer}
    return canonical_json({**training.model_dump(mode="json"), **own})


def image_id(spec: VariantSpec, channel: Channel, title: str) -> str:
    """The identity of a variant's rendition for a channel, with the product's title in it: 64 hex digits."""
    return content_id([spec.id, channel.rules, title, FINISHER_VERSION])


def gate_id(spec: VariantSpec, context: RunContext) -> str:
    """The identity of a variant's trial by the quality gate: a stricter gate is another trial."""
    checks = context.config.checks
    trial = [GATE_VERSION, spec.id, [check.model_dump(mode="json") for check in checks]]
    judged = any(asks_scorer(find_check(check.name)) for check in checks)
    return content_id([*trial, context.model.scorer_identity] if judged else trial)


class _Planner:
    def __init__(self, context: RunContext, known: Known, retires: bool) -> None:
        self.context, self.config, self.library = context, context.config, context.library()
        self.known, self.retires = known, retires
        self.recipe = _recipe(context)
        self.channels = [self.library.channels[name] for name in self.config.channels]
        self.classes: dict[str, AdapterSpec] = {}
        self.new_classes: list[AdapterSpec] = []

    def find_classes(self, products: list[Product], photos: list[list[Photo]]) -> None:
        """Names the class adapter of each noun: the one that the store holds or, of a noun's first SKUs, a new one.

        A SKU that comes later begins with the class adapter as it is, so that it changes no other SKU's adapter.
        """
        model, members = self.context.model.identity, defaultdict[str, list[list[Photo]]](list)
        for product, own in sorted(zip(products, photos, strict=True), key=lambda pair: pair[0].sku):
            members[product.class_noun].append(own)
        self.classes = class_adapters(self.context.open(), model, self.recipe, TRAINER_VERSION)
        for noun, of_skus in members.items():
            turns = (photo.id for turn in zip_longest(*of_skus) for photo in turn if photo)
            chosen = tuple(sorted(islice(dict.fromkeys(turns), CLASS_PHOTOS)))
            if chosen and noun not in self.classes:
                self.classes[noun] = AdapterSpec("", noun, model, chosen, self.recipe, TRAINER_VERSION)
                self.new_classes.append(self.classes[noun])

    def jobs(self, products: list[Product], listed: Iterable[Listed], counts: _Counts) -> Iterator[SkuJob]:
        """The SKUs with something to do; everything else is counted.

        One that has images, and a photo that cannot be had for a passing reason, is left as it is until it can be had:
        without that photo it would be trained again, and once more with it.
        """
        for product, (photos, faults) in zip(products, listed, strict=True):
            counts.rejections += [self._rejection(product.sku, uri, verdict) for uri, verdict in faults]
            images = len(self.known.live.get(product.sku, ()))
            if images and is_passing(faults):
                counts.skipped += 1
                counts.held[product.sku] += images
                continue
            if not photos:
                counts.quarantined.append(product.sku)
                if all(subject != product.sku for subject, _ in faults):
                    verdict = Rejected(Reason.SKU_NO_USABLE_REFERENCES, no_usable_photo(product.sku, len(faults)))
                    counts.rejections.append(self._rejection(product.sku, product.sku, verdict))
                continue
            job = self._job(product, photos, counts)
            if job.variants:
                yield job
            else:
                counts.skipped += 1

    def _job(self, product: Product, photos: list[Photo], counts: _Counts) -> SkuJob:
        start = self.classes.get(product.class_noun)
        spec = AdapterSpec(
            sku=product.sku,
            class_noun=product.class_noun,
            base_model=self.context.model.identity,
            references=tuple(sorted(photo.id for photo in photos)),
            recipe=self.recipe,
            trainer_version=TRAINER_VERSION,
            start=start.id if start else "",
            colour=product.in_words(self.config.training.colour_attributes),
        )
        variants = tuple(self._variants(product, photos, spec, counts))
        if not any(planned.spec.adapter_id for planned in variants):
            return SkuJob(product, tuple(photos), None, "", variants)
        return SkuJob(product, tuple(photos), spec, self.known.why_train(spec), variants, start)

    def _variants(
        self, product: Product, photos: list[Photo], adapter: AdapterSpec, counts: _Counts
    ) -> Iterator[PlannedVariant]:
        drawing = Drawing(
            token=self.config.training.token,
            adapter_id=adapter.id,
            base_model=self.context.model.drawing_identity,
            references=tuple(photo.id for photo in photos),
            resolution=self.context.resolution,
            renderer_version=RENDERER_VERSION,
            colour=adapter.colour,
            controlnet=self.context.model.controlnet_identity,
            upscaler=self.context.model.upscaler_identity,
        )
        slots = set[str]()
        counts.held[product.sku] += 0  # one that nothing is wanted of is remembered, too
        for spec in expand(product, self.config.variants, self.config.generation, self.library, drawing):
            slots |= {slot_of(spec, channel.name) for channel in self.channels}
            admitting = [c for c in self.channels if not c.techniques or spec.technique in c.techniques]
            missing = [c for c in admitting if image_id(spec, c, product.title) not in self.known.images]
            wanted = [c.name for c in missing if not self._is_refused(spec, c, product.title)]
            counts.held[product.sku] += len(admitting) - len(missing)
            counts.images_refused += len(missing) - len(wanted)
            if wanted:
                why = self.known.why_render(spec, wanted, product.title)
                yield PlannedVariant(spec, tuple(wanted), why, product.title)
        if self.retires:
            counts.retired += self.known.without_place(product.sku, slots)

    def _is_refused(self, spec: VariantSpec, channel: Channel, title: str) -> bool:
        """Whether a run before has found that this image cannot be had."""
        trials = (spec.adapter_id, spec.id, gate_id(spec, self.context), image_id(spec, channel, title))
        return not self.known.refused.isdisjoint(trials)

    def _rejection(self, sku: str, uri: str, verdict: Rejected) -> Rejection:
        context = self.context
        return Rejection(sku, STAGE, verdict.reason, uri, verdict.detail, context.run_id, context.started_at)
