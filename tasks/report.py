"""Shows a run: an HTML gallery in the store, and what `tasks.reporting.artifacts` puts into the Prefect UI."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from prefect import task

from catalog_schemas.identity import canonical_json
from catalog_schemas.plan import SkuJob
from catalog_schemas.rejection import Rejection
from catalog_schemas.review import Verdict
from catalog_schemas.run import RunRecord
from catalog_schemas.variant import VariantSpec
from tasks.context import RunContext
from tasks.finish_images import CHECKS, SPEC
from tasks.publish import Harvest
from tasks.reporting.artifacts import show_first, show_run
from tasks.reporting.gallery import (
    GalleryCount,
    GalleryImage,
    GalleryPage,
    GalleryPhoto,
    GalleryProduct,
    render_gallery,
)
from tasks.reporting.reshoot import reshoot_csv, reshoots
from tasks.reviews import Picture, reviewed
from tasks.stage_options import RETRIES
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables, rows_of

RESHOOTS_SHOWN = 50  # in a gallery; the list beside it has all
PRODUCTS_SHOWN = 200  # in one gallery: those of this run come first
_COLUMNS = [
    "sku", "title", "channel", "scene", "colour", "background", "technique", "seed", "prompt", "key", "width", "height",
    "alt_text", "checks", "spec", "run_id", "slot", "variant_id",
]  # fmt: skip


@dataclass(frozen=True)
class ReportLinks:
    """Where the run's gallery lies, and the list of photos to mend: paths, or URLs of the store.

    `reshoot_skus` counts the SKUs of that list; `reshoot` is empty where there is none.
    """

    gallery: str
    reshoot: str = ""
    reshoot_skus: int = 0


@task(name="report", **RETRIES)
def report(
    context: RunContext, jobs: list[SkuJob], harvest: Harvest, run: RunRecord, warnings: tuple[str, ...]
) -> ReportLinks:
    """Writes `runs/<run_id>/report/index.html`, `reshoot.csv` and `summary.json`, and the UI's artifacts.

    Raises StoreError.
    """
    store, folder = context.open(), _folder(context)
    again, key = reshoots(context), f"{folder}/index.html"
    page = _page(context, jobs, harvest.rejections, store)
    page = replace(page, created_at=run.finished_at, counts=_counts(run))
    page = replace(page, reshoot=again[:RESHOOTS_SHOWN], reshoot_total=len(again), reshoot_uri="reshoot.csv")
    if again:
        store.write(f"{folder}/reshoot.csv", reshoot_csv(again))
    store.write(key, render_gallery(page).encode())
    store.write(f"{folder}/summary.json", canonical_json(run).encode())
    skus = len({one.sku for one in again})
    links = ReportLinks(store.uri(key), store.uri(f"{folder}/reshoot.csv") if again else "", skus)
    show_run(context, harvest, run, links.gallery, warnings, again)
    return links


@task(name="show first images", **RETRIES)
def show_first_images(context: RunContext, jobs: list[SkuJob], harvest: Harvest, to_come: int) -> str:
    """Writes the gallery of what is there before adapters are trained, and an artifact; returns the gallery's place.

    `to_come` counts the images that wait for them. The tables do not speak of these images yet. Raises StoreError.
    """
    store, key = context.open(), f"{_folder(context)}/index.html"
    made = [replace(record, run_id=context.run_id) for record in harvest.images]
    page = _page(context, jobs, harvest.rejections, store, rows_of("images", made).to_pylist())
    counts = (GalleryCount(str(len(made)), "images so far"), GalleryCount(str(to_come), "images to come"))
    note = f"{to_come} more images come when adapters are trained, unless the run is stopped. This page loads itself."
    page = replace(page, counts=counts, note=note)
    store.write(key, render_gallery(page).encode())
    show_first(context, made, store.uri(key), to_come)
    return store.uri(key)


def _folder(context: RunContext) -> str:
    return f"runs/{context.run_id}/report"


def _page(
    context: RunContext,
    jobs: list[SkuJob],
    rejections: Iterable[Rejection],
    store: ObjectStore,
    made: Sequence[dict[str, Any]] = (),
) -> GalleryPage:
    """The page of the jobs' SKUs and others; `made` are rows of images that are not published yet."""
    refused: dict[str, list[Rejection]] = defaultdict(list)
    for rejection in rejections:
        refused[rejection.sku].append(rejection)
    products = {job.product.sku: job.product for job in jobs}
    order = _shown([*products, *(sku for sku in refused if sku)], store)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    replaced = {row["slot"] for row in made}
    live = (row for row in Tables(store).live_images(_COLUMNS, order).to_pylist() if row["slot"] not in replaced)
    for row in (*made, *live):
        rows[row["sku"]].append(row)
    specs = {one.spec.id: one.spec for job in jobs for one in job.variants}
    show = _Pictures(context, store, reviewed(Tables(store), Verdict.APPROVED, order))
    return GalleryPage(
        title="packshot",
        run_id=context.run_id,
        created_at=datetime.now(UTC),
        products=tuple(
            GalleryProduct(
                sku=sku,
                title=products[sku].title if sku in products else next((row["title"] for row in rows[sku]), ""),
                class_noun=products[sku].class_noun if sku in products else "",
                category=products[sku].category if sku in products else "",
                photos=(*show.photos(rows[sku]), *show.refused_photos(refused[sku])),
                images=tuple(show.image(row) for row in rows[sku]),
                rejected=tuple(show.refused(one, specs) for one in refused[sku] if one.variant_id),
                note="; ".join(one.detail for one in refused[sku] if not one.variant_id and not one.is_about_photo),
            )
            for sku in order
        ),
        banner=context.model.warning,
    )


def _shown(first: list[str], store: ObjectStore) -> list[str]:
    """The SKUs of the page: those of this run, then others that are published, until it is full."""
    order = dict.fromkeys(first[:PRODUCTS_SHOWN])
    if len(order) < PRODUCTS_SHOWN:
        others = Tables(store).read("skus", ["sku"], [("status", "=", "published")])["sku"]
        order |= dict.fromkeys(others.slice(0, PRODUCTS_SHOWN).to_pylist())
    return list(order)[:PRODUCTS_SHOWN]


def _counts(run: RunRecord) -> tuple[GalleryCount, ...]:
    return (
        GalleryCount(str(run.skus_input), "SKUs"),
        GalleryCount(str(run.adapters_trained), "adapters trained"),
        GalleryCount(str(run.images_published), "images made"),
        GalleryCount(str(run.images_skipped), "unchanged"),
        GalleryCount(str(run.images_rejected + run.images_failed), "refused or failed"),
        GalleryCount(str(run.skus_quarantined), "SKUs quarantined"),
        GalleryCount(f"{run.seconds:.0f} s", "run time"),
    )


class _Pictures:
    """Pictures as the page refers to them: relative to itself, so that a copied store still shows them."""

    def __init__(self, context: RunContext, store: ObjectStore, approved: set[Picture]) -> None:
        self.context, self.store, self.approved = context, store, approved
        self.library = context.library()

    def image(self, row: dict[str, Any]) -> GalleryImage:
        return GalleryImage(
            uri=_relative(row["key"]),
            scene=row["scene"],
            colour=row["colour"],
            background=row["background"],
            technique=row["technique"],
            alt_text=row["alt_text"],
            colour_hex=self._hex(row["colour"]),
            channel=row["channel"],
            prompt=row["prompt"],
            seed=row["seed"],
            width=row["width"],
            height=row["height"],
            checks=CHECKS.validate_json(row["checks"]),
            is_new=row["run_id"] == self.context.run_id,
            key=row["key"],
            is_approved=(row["variant_id"], row["slot"]) in self.approved,
        )

    def photos(self, rows: list[dict[str, Any]]) -> list[GalleryPhoto]:
        if not rows:
            return []
        references = SPEC.validate_json(rows[0]["spec"]).references
        keys = [f"cache/references/{reference}.png" for reference in references]
        return [GalleryPhoto(_relative(key)) for key in keys if self.store.exists(key)]

    def refused_photos(self, rejections: list[Rejection]) -> list[GalleryPhoto]:
        refused = [one for one in rejections if one.is_about_photo]
        return [GalleryPhoto("", reason=str(one.reason), detail=one.detail) for one in refused]

    def refused(self, rejection: Rejection, specs: dict[str, VariantSpec]) -> GalleryImage:
        spec, key = specs[rejection.variant_id], f"cache/drafts/{rejection.variant_id}.png"
        return GalleryImage(
            uri=_relative(key) if self.store.exists(key) else "",
            scene=spec.scene,
            colour=spec.colour,
            background=spec.background,
            technique=spec.technique,
            colour_hex=self._hex(spec.colour),
            prompt=spec.prompt,
            seed=spec.seed,
            reason=str(rejection.reason),
            detail=rejection.detail,
        )

    def _hex(self, colour: str) -> str:
        return self.library.colours[colour].hex if colour in self.library.colours else ""


def _relative(key: str) -> str:
    return "../../../" + quote(key)
