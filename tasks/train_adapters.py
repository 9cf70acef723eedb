"""Fine-tunes one cohort of SKUs, and keeps each adapter as an ordinary LoRA file with its record."""

from dataclasses import replace

from prefect import task

from catalog_schemas.adapter import AdapterFile, AdapterRecord
from catalog_schemas.arrow import from_table
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import References
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult, once
from tasks.runtime.stage_options import ON_DEVICE
from tasks.storage.keys import snapshot_key
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

STAGE = "train_adapters"


@task(name="train adapters", **ON_DEVICE)
def train_adapters(
    context: RunContext, jobs: list[SkuJob], references: References, starts: dict[str, AdapterFile]
) -> StageResult[AdapterRecord]:
    """One `AdapterRecord` per SKU of the cohort, and a verdict on each SKU whose training diverged, or whose class
    adapter is lost.

    What another run has published since this one was planned, while this one waited for the device, is not trained
    again.
    `references` holds the usable photos by SKU, `starts` the files of class adapters by id. Writes
    `adapters/<sku>/<id>/adapter.safetensors` and `record.json`, and `embedding.safetensors` where words were learned.
    Raises ModelError and StoreError.
    """
    store, left = context.open(), jobs

    def train() -> StageResult[AdapterRecord]:
        nonlocal left
        there = _published(store, work_of(jobs))
        left = [job for job in jobs if job.own_adapter.id not in there]
        if not left:
            return StageResult(tuple(there.values()))
        from tasks.training.skus import train_skus  # and with it torch and diffusers, which a quiet night never needs

        made = train_skus(context, STAGE, left, references, starts, store)
        return replace(made, records=(*there.values(), *made.records))

    result = once(store, STAGE, AdapterRecord, work_of(jobs), train)
    if context.config.compute.snapshot_steps:
        store.delete([snapshot_key(work_of(some)) for some in (jobs, left)])
    return result


def _published(store: ObjectStore, names: list[str]) -> dict[str, AdapterRecord]:
    rows = Tables(store).live_adapters(filters=[("adapter_id", "in", names)])
    return {one.adapter_id: one for one in from_table(AdapterRecord, rows)}


def work_of(jobs: list[SkuJob]) -> list[str]:
    """What identifies a cohort: its adapters' ids."""
    return [job.own_adapter.id for job in jobs]
