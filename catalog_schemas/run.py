"""One run's outcome: counts that add up."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of `tables/runs`.

    SKUs: `skus_input` = `skus_published` + `skus_quarantined` + `skus_failed` + `skus_skipped` + `skus_waiting`, where
    skipped means that the store already held everything, and waiting that the next run is to look at them.
    Images: `images_planned` = `images_published` + `images_rejected` + `images_failed`; `images_skipped` were already
    there and are not part of the plan. `images_retired` were live, and have no place any more: their SKU, or the scene,
    colour or technique that they show, is no longer asked for.
    """

    run_id: str
    catalog: str
    config: str
    status: str
    skus_input: int
    skus_published: int
    skus_quarantined: int
    skus_failed: int
    skus_skipped: int
    skus_waiting: int
    adapters_trained: int
    images_planned: int
    images_published: int
    images_rejected: int
    images_failed: int
    images_skipped: int
    images_retired: int
    seconds: float
    started_at: datetime
    finished_at: datetime
