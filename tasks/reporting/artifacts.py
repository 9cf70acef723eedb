"""What a run's page in the Prefect UI shows, under Artifacts: a table, thumbnails, and what was refused.

The artifacts have no keys: the UI opens those at a click, while one with a key opens as a list over all runs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice, zip_longest
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import Plan
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from tasks.imaging.thumbnail import data_uri, thumbnail
from tasks.publishing.publication import Harvest
from tasks.reporting.reshoot import Reshoot
from tasks.reporting.served import served_at
from tasks.review_images import Reviewed
from tasks.runtime.context import RunContext
from tasks.runtime.pictures import read_picture
from tasks.runtime.wording import counted
from tasks.storage.objects import ObjectStore

THUMBNAILS_SHOWN = 12  # each travels inside the artifact
THUMBNAIL_SIDE = 200
COLUMNS = 4
REFUSALS_SHOWN = 10
PLANNED_SHOWN = 1000
RESHOOTS_SHOWN = 500
REMADE = "The next nightly refresh makes others in their place, with another seed, where one changes the picture."


def show_plan(plan: Plan) -> None:
    """Shows a plan in the UI."""
    rows = [
        {"SKU": one.spec.sku, "image": one.spec.name, "channels": ", ".join(one.channels), "why": one.reason}
        for job in plan.jobs
        for one in job.variants
    ]
    made = sum(job.images for job in plan.jobs)
    note = f"{counted(made, 'image')} to make, {plan.images_skipped} there already, {len(plan.retired)} to retire"
    create_table_artifact(table=rows[:PLANNED_SHOWN] or [{"SKU": "none", "image": "none"}], description=note)


def show_run(
    context: RunContext,
    harvest: Harvest,
    run: RunRecord,
    gallery: str,
    warnings: Sequence[str],
    again: Sequence[Reshoot],
) -> None:
    """Shows what a run has made, with thumbnails, its counts, and the photos to mend. Raises StoreError."""
    shown = _first_of_each(harvest.images)
    products = len({image.sku for image in harvest.images})
    made = f"{counted(len(harvest.images), 'image')} of {counted(products, 'product')}"
    parts = [
        f"## {made}" if run.images_planned else "## Nothing to make: it is all there already",
        *(f"**{warning}**" for warning in warnings),
        _markdown(_summary(run)),
        *_thumbnails(shown, context.open()),
        f"and {len(harvest.images) - len(shown)} more in the gallery" if len(harvest.images) > len(shown) else "",
        _refused(harvest.rejections),
        _link(context, "Open the gallery", "to look closely, and to approve and reject"),
        f"Gallery of every image, with its checks: `{gallery}`",
    ]
    text = "\n\n".join(part for part in parts if part)
    create_markdown_artifact(markdown=text, description=f"Made: {made}")
    create_table_artifact(table=_summary(run), description="counts")
    if again:
        rows = [
            {"SKU": one.sku, "title": one.title, "photo": one.photo, "wrong": one.wrong, "to do": one.remedy}
            for one in again[:RESHOOTS_SHOWN]
        ]
        create_table_artifact(table=rows, description=f"Photos to mend: {len(again)}")


def show_reviews(done: Reviewed) -> None:
    """Shows in the UI what people's verdicts came to."""
    parts = [f"## {done}", REMADE if done.rejected else ""]
    create_markdown_artifact(markdown="\n\n".join(filter(None, parts)), description=f"Reviewed: {done}")
    rows = [{"images": name, "number": count} for name, count in asdict(done).items()]
    create_table_artifact(table=rows, description="counts")


def show_first(context: RunContext, images: Sequence[ImageRecord], gallery: str, to_come: int) -> None:
    """Shows what a run has made before its adapters are trained. Raises StoreError."""
    said = f"{counted(len(images), 'image')} so far, {to_come} to come when adapters are trained"
    link = _link(context, "Open the gallery", "which grows")
    parts = [
        f"## {said}",
        link,
        *_thumbnails(_first_of_each(images), context.open()),
        f"Gallery, which grows: `{gallery}`",
    ]
    create_markdown_artifact(markdown="\n\n".join(filter(None, parts)), description=said)


def _summary(run: RunRecord) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"what": "SKUs", "in": run.skus_input, "published": run.skus_published, "unchanged": run.skus_skipped,
         "refused": run.skus_quarantined, "failed": run.skus_failed, "retired": ""},
        {"what": "images", "in": run.images_planned, "published": run.images_published, "unchanged": run.images_skipped,
         "refused": run.images_rejected, "failed": run.images_failed, "retired": run.images_retired},
    ]  # fmt: skip
    if run.skus_waiting:
        rows[0]["waiting"], rows[1]["waiting"] = run.skus_waiting, ""
    return rows


def _first_of_each(images: Sequence[ImageRecord]) -> list[ImageRecord]:
    """As many as are shown, taken in turns from each product, so that none is left out for another's tenth."""
    products: dict[str, list[ImageRecord]] = defaultdict(list)
    for image in images:
        products[image.sku].append(image)
    turns = (image for turn in zip_longest(*products.values()) for image in turn if image is not None)
    return list(islice(turns, THUMBNAILS_SHOWN))


def _thumbnails(images: Iterable[ImageRecord], store: ObjectStore) -> Iterator[str]:
    """Each product's title over a table of its pictures, each with what it shows below."""
    products: dict[str, list[ImageRecord]] = defaultdict(list)
    for image in images:
        products[image.sku].append(image)
    for sku, shown in products.items():
        yield f"**{_plain(sku)}** {_plain(shown[0].title)}"
        lines = []
        for start in range(0, len(shown), COLUMNS):
            row = shown[start : start + COLUMNS]
            lines += [[f"![{_plain(one.alt_text)}]({_picture(store, one)})" for one in row], [*map(_caption, row)]]
        yield _table([lines[0], ["---"] * len(lines[0]), *lines[1:]])


def _caption(image: ImageRecord) -> str:
    background = "" if image.background == "scene" else image.background
    names = (image.scene, image.colour, background, image.technique)
    return _plain(", ".join(name.replace("-", " ") for name in names if name))  # a table breaks lines at spaces


def _picture(store: ObjectStore, image: ImageRecord) -> str:
    return data_uri(thumbnail(read_picture(store, image.key), THUMBNAIL_SIDE))


def _link(context: RunContext, words: str, why: str) -> str:
    """A link to the run's gallery where a server shows it."""
    place = served_at(context.open(), f"runs/{context.run_id}/report/index.html")
    return f"[{words}]({place}), {why}" if place else ""


def _refused(rejections: Sequence[Rejection]) -> str:
    """The first few refusals, in their own words."""
    if not rejections:
        return ""
    lines = [f"- {_plain(one.detail)}" for one in rejections[:REFUSALS_SHOWN]]
    more = [f"- and {len(rejections) - REFUSALS_SHOWN} more"] if len(rejections) > REFUSALS_SHOWN else []
    return "\n".join(["**Refused**", "", *lines, *more])


def _markdown(rows: list[dict[str, Any]]) -> str:
    return _table([list(rows[0]), ["---"] * len(rows[0]), *(list(map(str, row.values())) for row in rows)])


def _table(lines: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text that Markdown takes as text."""
    return "".join(letter if letter.isalnum() or letter in " ,.-:;'/()" else " " for letter in text)
