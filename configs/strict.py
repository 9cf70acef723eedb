"""What all configuration models have in common."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
