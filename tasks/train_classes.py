"""Trains the class adapters that SKUs begin with: each once, over the photos of the SKUs of its class noun.

A class adapter is a row of `tables/adapters` without a SKU, and an ordinary LoRA file. It stays what it was when SKUs
of its noun come or go, since all that began with it would otherwise be trained again.
"""

from prefect import task

from catalog_schemas.adapter import AdapterRecord, AdapterSpec
from catalog_schemas.plan import SkuJob
from catalog_schemas.reference import References
from tasks.runtime.context import RunContext
from tasks.runtime.ledger import StageResult, once
from tasks.runtime.stage_options import ON_DEVICE

STAGE = "train_classes"


@task(name="train classes", **ON_DEVICE)
def train_classes(
    context: RunContext, classes: list[AdapterSpec], jobs: list[SkuJob], references: References
) -> StageResult[AdapterRecord]:
    """One `AdapterRecord` per class, and a verdict on each SKU of a class whose training diverged.

    `jobs` are the SKUs that begin with one of them, `references` their usable photos. Writes
    `adapters/class%20<noun>/<id>/adapter.safetensors` and `record.json`. Raises ModelError and StoreError.
    """
    store = context.open()

    def train() -> StageResult[AdapterRecord]:
        from tasks.training.classes import train_class_adapters  # loads torch and diffusers

        return train_class_adapters(context, STAGE, classes, jobs, references, store)

    return once(store, STAGE, AdapterRecord, [spec.id for spec in classes], train)
