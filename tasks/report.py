"""Shows a run: an HTML gallery in the store, and what `tasks.reporting.artifacts` puts into the Prefect UI."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from prefect import task

from catalog_schemas.identity import canonical_json
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import SkuJob
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from tasks.publishing.publication import Harvest
from tasks.reporting.artifacts import show_first, show_run
from tasks.reporting.gallery import GalleryCount, GalleryPage, GalleryProduct, render_gallery
from tasks.reporting.reshoot import reshoot_csv, reshoots
from tasks.reporting.shown import Shown, rows_to_show
from tasks.runtime.context import RunContext
from tasks.runtime.stage_options import RETRIES
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables

RESHOOTS_SHOWN = 50  # in a gallery; the list beside it has all
PRODUCTS_SHOWN = 200  # in one gallery: those of this run come first
_ROOT = "../../../"  # of the store, as seen from a report: a copied store still shows its pictures


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
    page = _page(context, jobs, harvest.rejections, store, harvest.images)
    counts = (GalleryCount(str(len(harvest.images)), "images so far"), GalleryCount(str(to_come), "images to come"))
    note = f"{to_come} more images come when adapters are trained, unless the run is stopped. This page loads itself."
    page = replace(page, counts=counts, note=note)
    store.write(key, render_gallery(page).encode())
    show_first(context, harvest.images, store.uri(key), to_come)
    return store.uri(key)


def _folder(context: RunContext) -> str:
    return f"runs/{context.run_id}/report"


def _page(
    context: RunContext,
    jobs: list[SkuJob],
    rejections: Iterable[Rejection],
    store: ObjectStore,
    made: Iterable[ImageRecord] = (),
) -> GalleryPage:
    """The page of the jobs' SKUs and others; `made` are images that are not published yet."""
    refused: dict[str, list[Rejection]] = defaultdict(list)
    for rejection in rejections:
        refused[rejection.sku].append(rejection)
    products = {job.product.sku: job.product for job in jobs}
    mine = list(dict.fromkeys([*products, *filter(None, refused)]))
    others = _others(store, mine)
    order = [*mine[:PRODUCTS_SHOWN], *others]
    specs = {one.spec.id: one.spec for job in jobs for one in job.variants}
    shown = Shown(store, _ROOT, rows_to_show(Tables(store), order, rows_of("images", made)))
    return GalleryPage(
        title="packshot",
        run_id=context.run_id,
        created_at=datetime.now(UTC),
        products=tuple(
            GalleryProduct(
                sku=sku,
                title=products[sku].title if sku in products else shown.title(sku),
                class_noun=products[sku].class_noun if sku in products else "",
                category=products[sku].category if sku in products else others.get(sku, ""),
                photos=(*shown.photos(sku), *shown.refused_photos(refused[sku])),
                images=shown.images(sku),
                rejected=tuple(shown.refused(one, specs[one.variant_id]) for one in refused[sku] if one.variant_id),
                note="; ".join(one.detail for one in refused[sku] if not one.variant_id and not one.is_about_photo),
            )
            for sku in order
        ),
        banner=context.model.warning,
        scope=_scope(len(mine)),
    )


def _others(store: ObjectStore, mine: list[str]) -> dict[str, str]:
    """The categories, by SKU, of other products that are published, as many as there is room for."""
    room = PRODUCTS_SHOWN - len(mine)
    if room <= 0:
        return {}
    rows = Tables(store).read("skus", ["sku", "category"], [("status", "=", "published")]).slice(0, PRODUCTS_SHOWN)
    listed = {row["sku"]: row["category"] or "" for row in rows.to_pylist() if row["sku"] not in mine}
    return dict(list(listed.items())[:room])


def _scope(products: int) -> str:
    """What the page says where it has no room for all of the run's products."""
    if products <= PRODUCTS_SHOWN:
        return ""
    shown = f"{PRODUCTS_SHOWN} of this run's {products:,} products are shown."
    return f"{shown} {products - PRODUCTS_SHOWN:,} are left out: packshot gallery shows them."


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
