"""Compares the catalog and the configuration with the store, and lists what is missing, and why."""

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.arrow import schema_of
from catalog_schemas.errors import Rejected
from catalog_schemas.identity import canonical_json, content_id
from catalog_schemas.plan import Plan, PlannedVariant, SkuJob
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Rejection
from catalog_schemas.variant import VariantSpec
from configs.library import Library
from configs.schema import Channel, RunConfig
from tasks.context import RunContext
from tasks.known import Known
from tasks.matrix import Drawing, expand
from tasks.photos import list_photos
from tasks.read_catalog import read_catalog
from tasks.retrying import RETRIES
from tasks.storage.sources import Sources
from tasks.versions import FINISHER_VERSION, RENDERER_VERSION, TRAINER_VERSION

STAGE = "plan"
READERS = 8  # photos are hashed in parallel, for most of that time is spent waiting for storage


@dataclass(frozen=True)
class Selection:
    """Which products of the catalog a run is about; empty fields select all."""

    skus: tuple[str, ...] = ()
    category: str = ""

    def holds(self, product: Product) -> bool:
        """Whether the product is meant: its SKU is named, and its category contains the one asked for."""
        named = not self.skus or product.sku in self.skus
        return named and self.category.lower() in product.category.lower()


@dataclass
class _Counts:
    rows: int = 0
    skipped: int = 0
    images_skipped: int = 0
    images_refused: int = 0
    quarantined: list[str] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


@task(name="plan", tags=["cpu"], **RETRIES)
def plan_run(context: RunContext, selection: Selection) -> Plan:
    """`make_plan` as a stage: also writes `runs/<run_id>/plan.parquet`, a row per variant to make."""
    plan = make_plan(context, selection)
    buffer = io.BytesIO()
    pq.write_table(plan_table(plan), buffer)
    context.open().write(f"runs/{context.run_id}/plan.parquet", buffer.getvalue())
    return plan


def plan_table(plan: Plan) -> pa.Table:
    """The plan's variants, a row each, with their reasons."""
    rows = [
        {
            **asdict(one.spec),
            "variant_id": one.spec.id,
            "channels": one.channels,
            "reason": one.reason,
            "train": job.train,
        }
        for job in plan.jobs
        for one in job.variants
    ]
    extra = [
        ("variant_id", pa.string()),
        ("channels", pa.list_(pa.string())),
        ("reason", pa.string()),
        ("train", pa.string()),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([*schema_of(VariantSpec), *(pa.field(*pair) for pair in extra)]))


def make_plan(context: RunContext, selection: Selection) -> Plan:
    """The work of a run; reads, and writes nothing.

    Raises CatalogError, ConfigError and StoreError.
    """
    planner = _Planner(context, context.library())
    counts, jobs = _Counts(), list[SkuJob]()
    with ThreadPoolExecutor(READERS) as readers:
        for batch in read_catalog(context.catalog, context.run_id, context.started_at):
            products = [product for product in batch.products if selection.holds(product)]
            refused = [] if selection != Selection() else batch.rejections
            counts.rows += len(products) + len(refused)
            counts.rejections += refused
            counts.quarantined += [rejection.sku for rejection in refused]
            jobs += planner.jobs(products, readers.map(planner.photos, products), counts)
    return Plan(
        jobs=tuple(jobs),
        rows=counts.rows,
        skipped=counts.skipped,
        quarantined=tuple(counts.quarantined),
        rejections=tuple(counts.rejections),
        images_skipped=counts.images_skipped,
        images_refused=counts.images_refused,
    )


def image_id(spec: VariantSpec, channel: Channel) -> str:
    """The identity of a variant's rendition for a channel: 64 hex digits."""
    return content_id([spec.id, channel.model_dump(mode="json"), FINISHER_VERSION])


def gate_id(spec: VariantSpec, config: RunConfig) -> str:
    """The identity of a variant's trial by the quality gate: a stricter gate is another trial."""
    return content_id([spec.id, [check.model_dump(mode="json") for check in config.checks]])


class _Planner:
    def __init__(self, context: RunContext, library: Library) -> None:
        self.context, self.config, self.library = context, context.config, library
        self.sources = Sources(context.catalog, self.config.catalog)
        self.known = Known.of(context.open())
        self.recipe = canonical_json({**self.config.training.model_dump(mode="json"), "resolution": context.resolution})
        self.channels = [library.channels[name] for name in self.config.channels]

    def photos(self, product: Product) -> tuple[list[Photo], list[tuple[str, Rejected]]]:
        """The product's photos; a verdict on the whole SKU comes back as one on the SKU."""
        try:
            return list_photos(product, self.sources, self.config.catalog)
        except Rejected as verdict:
            return [], [(product.sku, verdict)]

    def jobs(
        self, products: list[Product], listed: Iterable[tuple[list[Photo], list[tuple[str, Rejected]]]], counts: _Counts
    ) -> Iterator[SkuJob]:
        """The SKUs with something to do; everything else is counted."""
        for product, (photos, faults) in zip(products, listed, strict=True):
            counts.rejections += [self._rejection(product.sku, uri, verdict) for uri, verdict in faults]
            if not photos:
                counts.quarantined.append(product.sku)
                continue
            job = self._job(product, photos, counts)
            if job.variants:
                yield job
            else:
                counts.skipped += 1

    def _job(self, product: Product, photos: list[Photo], counts: _Counts) -> SkuJob:
        spec = AdapterSpec(
            sku=product.sku,
            class_noun=product.class_noun,
            base_model=self.context.model.identity,
            references=tuple(sorted(photo.id for photo in photos)),
            recipe=self.recipe,
            trainer_version=TRAINER_VERSION,
        )
        variants = tuple(self._variants(product, photos, spec, counts))
        if not any(planned.spec.adapter_id for planned in variants):
            return SkuJob(product, tuple(photos), None, "", variants)
        return SkuJob(product, tuple(photos), spec, self.known.why_train(spec), variants)

    def _variants(
        self, product: Product, photos: list[Photo], adapter: AdapterSpec, counts: _Counts
    ) -> Iterator[PlannedVariant]:
        drawing = Drawing(
            token=self.config.training.token,
            adapter_id=adapter.id,
            base_model=self.context.model.identity,
            references=tuple(photo.id for photo in photos),
            resolution=self.context.resolution,
            renderer_version=RENDERER_VERSION,
        )
        for spec in expand(product, self.config.variants, self.config.generation, self.library, drawing):
            admitting = [c for c in self.channels if not c.techniques or spec.technique in c.techniques]
            missing = [c for c in admitting if image_id(spec, c) not in self.known.images]
            wanted = [c.name for c in missing if not self._is_refused(spec, c)]
            counts.images_skipped += len(admitting) - len(missing)
            counts.images_refused += len(missing) - len(wanted)
            if wanted:
                yield PlannedVariant(spec, tuple(wanted), self.known.why_render(spec, wanted))

    def _is_refused(self, spec: VariantSpec, channel: Channel) -> bool:
        """Whether a run before has found that this image cannot be had."""
        return not self.known.refused.isdisjoint((spec.id, gate_id(spec, self.config), image_id(spec, channel)))

    def _rejection(self, sku: str, uri: str, verdict: Rejected) -> Rejection:
        context = self.context
        return Rejection(sku, STAGE, verdict.reason, uri, verdict.detail, context.run_id, context.started_at)
