"""The cost of a night: `make bench-refresh` plans and publishes catalogs of growing size, 1 % of each changed.

Every phase runs in a process of its own, whose seconds and peak memory are measured. The photos are a pool of files
that the SKUs share, since millions of files would measure the disk; each SKU lists three of them. Images are rows
without bytes: planning and publishing read none. The result is a JSON file and a table.
"""

import argparse
import csv
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from deltalake import write_deltalake
from prefect import flow

from catalog_schemas.identity import bytes_id, content_id
from catalog_schemas.image import ImageRecord
from catalog_schemas.plan import Plan
from catalog_schemas.product import Product
from catalog_schemas.reference import PhotoRecord
from catalog_schemas.run import RunRecord
from catalog_schemas.sku import SkuRecord
from catalog_schemas.variant import VariantSpec
from configs.entries import Channel
from configs.preset import load_preset
from configs.schema import VariantMatrix
from flows.pipeline import run_pipeline
from flows.servers.own_server import begin_server
from tasks.import_catalog import import_catalog
from tasks.plan import make_plan
from tasks.planning.changes import read_changes
from tasks.planning.matrix import Drawing, expand
from tasks.planning.rows import Selection
from tasks.planning.scene_photos import find_scene_photos
from tasks.publish import publish, sku_records
from tasks.publishing.json_columns import SPEC
from tasks.publishing.publication import Harvest
from tasks.read_catalog import catalog_batches
from tasks.runtime.context import RunContext
from tasks.runtime.identities import image_id, slot_of
from tasks.runtime.models import ModelFolder
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.bench.device import commit, device_name
from tests.bench.tables import RESULTS, as_markdown, keep, say

POOL = 1000
BATCH = 5000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CPU = torch.device("cpu")

PHASES = ("import", "no_op_plan", "no_op_night", "import_changed", "plan", "plan_and_publish", "next_no_op_plan")

Phase = Callable[[Path, int], dict[str, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--changed", type=float, default=0.01)
    options = parser.parse_args()
    rows = []
    for skus in options.skus:
        with tempfile.TemporaryDirectory() as folder:
            os.environ |= {"PREFECT_HOME": f"{folder}/prefect", "PREFECT_LOGGING_LEVEL": "ERROR"}
            rows.append(_night(Path(folder), skus, options.variants, options.changed))
            say(json.dumps(rows[-1]))
    about = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "commit": commit(), "device": device_name(CPU)}
    about |= {"cores": os.cpu_count(), "variants": options.variants, "changed": options.changed, "nights": rows}
    about["idle"] = measured(nothing, Path(), 0)
    keep(about, "refresh", markdown(about), RESULTS)


def _night(folder: Path, skus: int, variants: int, changed: float) -> dict[str, Any]:
    write_feed(folder, skus, 0.0)
    imported = measured(import_feed, folder, variants)
    seeded = measured(seed_store, folder, variants)
    idle = measured(plan_night, folder, variants)
    assert idle["unchanged"] == skus, f"the store was not seeded as a night leaves it: {idle}"
    night = measured(no_op_night, folder, variants)
    write_feed(folder, skus, changed)
    imported_again = measured(import_feed, folder, variants)
    planned = measured(plan_night, folder, variants)
    published = measured(publish_night, folder, variants)
    after = measured(plan_night, folder, variants)
    return {
        "skus": skus,
        "import": imported,
        "seed": seeded,
        "no_op_plan": idle,
        "no_op_night": night,
        "import_changed": imported_again,
        "plan": planned,
        "plan_and_publish": published,
        "next_no_op_plan": after,
    }


def measured(phase: Phase, folder: Path, variants: int) -> dict[str, float]:
    """Seconds and peak MiB of `phase` in a fresh process, beside what it counted."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_timed, phase, folder, variants).result()


def _timed(phase: Phase, folder: Path, variants: int) -> dict[str, float]:
    started = time.perf_counter()
    counts = phase(folder, variants)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"seconds": round(time.perf_counter() - started, 2), "peak_mib": peak, **counts}


def nothing(folder: Path, variants: int) -> dict[str, int]:
    """What this program and its libraries take."""
    return {}


def write_feed(folder: Path, skus: int, changed: float) -> None:
    """A table of the shop's, in which a share of the SKUs, spread evenly, lists other photos than before."""
    photos = folder / "photos"
    if not photos.exists():
        photos.mkdir()
        for number in range(POOL):
            (photos / f"{number}.png").write_bytes(str(number).encode() * 50)
    every = round(1 / changed) if changed else 0
    with (folder / "products.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "title", "class_noun", "photos", "category", "brand"])
        for n in range(skus):
            move = 500 if every and n % every == 0 else 0
            listed = "|".join(f"photos/{(3 * n + move + k) % POOL}.png" for k in range(3))
            title = f"Product number {n} of the large catalog"
            writer.writerow([f"SKU-{n:08d}", title, "mug", listed, "Home > Kitchen > Mugs", f"Brand {n % 100}"])


def import_feed(folder: Path, variants: int) -> dict[str, int]:
    """The catalog from the shop's table, as `packshot import csv` makes it."""
    done = import_catalog("csv", str(folder / "products.csv"), str(folder / "catalog.parquet"))
    return {"skus": done.products, "refused": sum(done.refused.values()) + done.left_out}


def context_of(folder: Path, variants: int) -> RunContext:
    """A run on the bench's catalog; no model is loaded, so only its identity is there."""
    config = load_preset("demo")
    matrix = VariantMatrix(scenes=("all",), techniques=("composite", "packshot"), limit_per_sku=variants)
    catalog = config.catalog.model_copy(update={"placeholder_products": 10**9})  # counted, but all photos are shared
    config = config.model_copy(update={"variants": matrix, "catalog": catalog})
    now = datetime.now(UTC)
    model = ModelFolder("", "bench", 128, "")
    return RunContext(
        f"bench-{now:%H%M%S%f}", str(folder / "catalog.parquet"), str(folder / "store"), config, model, now
    )


def seed_store(folder: Path, variants: int) -> dict[str, int]:
    """The tables as a night leaves them that made everything, appended a batch at a time."""
    context = context_of(folder, variants)
    tables = Tables(context.open())
    changes = read_changes(context, tables, find_scene_photos(context))
    template, images = _template(context), 0
    for batch in catalog_batches(context.catalog):
        fingerprints = changes.select(batch)
        for start in range(0, len(batch), BATCH):
            skus = batch["sku"].slice(start, BATCH).to_pylist()
            rows = _image_rows(template, skus)
            images += len(rows)
            write_deltalake(tables.uri("images"), rows, mode="append")
            records = [
                SkuRecord(sku, context.catalog, fingerprints[at], "published", variants, "seed", NOW)
                for at, sku in enumerate(skus, start)
            ]
            write_deltalake(tables.uri("skus"), rows_of("skus", records), mode="append")
            listed = zip(skus, batch["references"].slice(start, BATCH).to_pylist(), strict=True)
            photos = [_photo(context, sku, uri) for sku, references in listed for uri in references]
            write_deltalake(tables.uri("photos"), rows_of("photos", photos), mode="append")
    return {"images": images}


def _photo(context: RunContext, sku: str, reference: str) -> PhotoRecord:
    uri = f"{context.catalog.rpartition('/')[0]}/{reference}"
    content = bytes_id(reference.removeprefix("photos/").removesuffix(".png").encode() * 50)
    short = content_id(sku)[:16]
    return PhotoRecord(sku, context.catalog, uri, content, short, short, "", "seed", NOW)


def plan_night(folder: Path, variants: int) -> dict[str, int]:
    """A plan, as `packshot plan` makes it."""
    plan = make_plan(context_of(folder, variants), Selection())
    return {
        "skus": plan.rows,
        "unchanged": plan.skipped,
        "jobs": len(plan.jobs),
        "images": sum(job.images for job in plan.jobs),
    }


def no_op_night(folder: Path, variants: int) -> dict[str, int]:
    """The whole flow where nothing has changed, with a server as `packshot run` brings one, and the report."""
    begin_server()()
    night = flow(run_pipeline, name="bench", persist_result=False, validate_parameters=False)
    record = night(context_of(folder, variants), Selection()).record
    return {"unchanged": record.skus_skipped, "images": record.images_planned}


def publish_night(folder: Path, variants: int) -> dict[str, int]:
    """A plan, and the publication of all its images, which replace those of the night before."""
    context = context_of(folder, variants)
    plan = make_plan(context, Selection())
    library = context.library()
    images = [
        _record(context, one.spec, job.product.title, library.channels[name])
        for job in plan.jobs
        for one in job.variants
        for name in one.channels
    ]
    harvest = Harvest((), tuple(images), plan.rejections, plan.retired)
    harvest = replace(harvest, skus=sku_records(context, plan, list(plan.jobs), harvest))
    started = time.perf_counter()
    publish.fn(context, harvest, _run(context, plan, len(images)))
    return {"images": len(images), "publish_seconds": round(time.perf_counter() - started)}


def _template(context: RunContext) -> list[ImageRecord]:
    """The images of one product, to be copied for all."""
    product = Product("SKU", "Product", "mug", ("photos/0.png",), category="Home > Kitchen > Mugs")
    photos = find_scene_photos(context)
    drawing = Drawing("sks", "", context.model.identity, ("before",), context.resolution, 1, scene_photos=photos)
    library, config = context.library(), context.config
    specs = expand(product, config.variants, config.generation, library, drawing)
    return [_record(context, spec, product.title, library.channels["web"]) for spec in specs]


def _image_rows(template: list[ImageRecord], skus: list[str]) -> pa.Table:
    """The template's rows for each of `skus`, in their order."""
    parts = []
    for record in template:
        row = rows_of("images", [record])
        columns = {name: pa.array(row[name].to_pylist() * len(skus), row[name].type) for name in row.column_names}
        for name in ("sku", "slot", "key", "spec", "image_id", "variant_id"):
            value = getattr(record, name)
            texts = [value.replace("SKU", sku, 1) if "SKU" in value else f"{sku}/{value[:48]}" for sku in skus]
            columns[name] = pa.array(texts, pa.string())
        parts.append(pa.table(columns, schema=row.schema))
    return pa.concat_tables(parts).sort_by("sku")


def _record(context: RunContext, spec: VariantSpec, title: str, channel: Channel) -> ImageRecord:
    return ImageRecord(
        image_id=image_id(spec, channel, title),
        variant_id=spec.id,
        slot=slot_of(spec, channel.name),
        sku=spec.sku,
        title=title,
        channel=channel.name,
        scene=spec.scene,
        colour=spec.colour,
        background=spec.background,
        technique=spec.technique,
        seed=spec.seed,
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        adapter_id=spec.adapter_id,
        base_model=spec.base_model,
        steps=spec.steps,
        guidance=spec.guidance,
        scheduler=spec.scheduler,
        key=f"images/{spec.sku}/{channel.name}/{spec.name}-{spec.id[:12]}.webp",
        sha256=spec.id,
        bytes=20_000,
        width=spec.width,
        height=spec.height,
        format=channel.format,
        alt_text=f"{title}, {spec.scene}",
        checks="[]",
        spec=SPEC.dump_json(spec).decode(),
        origin=context.origin,
        run_id=context.run_id,
        created_at=NOW,
    )


def _run(context: RunContext, plan: Plan, images: int) -> RunRecord:
    now = datetime.now(UTC)
    jobs = len(plan.jobs)
    return RunRecord(
        context.run_id, context.catalog, "{}", "completed", plan.rows, jobs, 0, 0, plan.skipped, 0, 0,
        images, images, 0, 0, plan.images_skipped, len(plan.retired), 0.0, context.started_at, now,
    )  # fmt: skip


def markdown(report: dict[str, Any]) -> str:
    """The report for people: a line for each phase, a column for each size of catalog."""
    nights = report["nights"]
    rows = [
        {"phase": phase}
        | {
            f"{night['skus']:,} SKUs": f"{night[phase]['seconds']} s, {night[phase]['peak_mib']:,} MiB"
            for night in nights
        }
        for phase in PHASES
    ]
    publish = {f"{night['skus']:,} SKUs": f"{night['plan_and_publish']['publish_seconds']} s" for night in nights}
    lines = [
        f"Measured {report['date']} at {report['commit']} on {report['device']}, {report['cores']} cores: "
        f"{report['variants']} images of each SKU, {report['changed']:.0%} of the SKUs changed. `make bench-refresh`; "
        "its docstring says what is measured. Memory is the phase's peak, of which Python and its libraries are "
        f"{report['idle']['peak_mib']} MiB.",
        "",
        *as_markdown([*rows, {"phase": "of which publish"} | publish]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
