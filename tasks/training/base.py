"""The model that a run's adapters are trained on."""

from pathlib import Path

from tasks.engine.base_model import BaseModel, load_base
from tasks.runtime.context import RunContext


def base_of(context: RunContext) -> BaseModel:
    """The run's model as it was published, without the LoRAs that only drawing adds. Raises ModelError."""
    model, device = context.config.model, context.config.compute.device
    return load_base(Path(context.model.path), model.precision, device, variant=model.variant)
