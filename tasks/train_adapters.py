"""Fine-tunes one cohort of SKUs, and keeps each adapter as an ordinary LoRA file with its record."""

from prefect import task

from catalog_schemas.adapter import AdapterFile, AdapterRecord
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import References
from tasks.context import RunContext
from tasks.ledger import StageResult, once
from tasks.stage_options import ON_DEVICE
from tasks.storage.keys import snapshot_key

STAGE = "train_adapters"


@task(name="train adapters", **ON_DEVICE)
def train_adapters(
    context: RunContext, jobs: list[SkuJob], references: References, starts: dict[str, AdapterFile]
) -> StageResult[AdapterRecord]:
    """One `AdapterRecord` per SKU of the cohort, and a verdict on each SKU whose training diverged, or whose class
    adapter is lost.

    `references` holds the usable photos by SKU, `starts` the files of class adapters by id. Writes
    `adapters/<sku>/<id>/adapter.safetensors` and `record.json`, and `embedding.safetensors` where words were learned.
    Raises ModelError and StoreError.
    """
    store = context.open()

    def train() -> StageResult[AdapterRecord]:
        from tasks.training.skus import train_skus  # and with it torch and diffusers, which a quiet night never needs

        return train_skus(context, STAGE, jobs, references, starts, store)

    result = once(store, STAGE, AdapterRecord, work_of(jobs), train)
    if context.config.compute.snapshot_steps:
        store.delete([snapshot_key(work_of(jobs))])
    return result


def work_of(jobs: list[SkuJob]) -> list[str]:
    """The identity of a cohort."""
    return [job.own_adapter.id for job in jobs]
