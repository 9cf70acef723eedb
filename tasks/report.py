"""Shows a run: an HTML gallery in the store, and a table and thumbnails in the Prefect UI."""

from dataclasses import dataclass

from catalog_schemas.run import RunRecord
from tasks.context import RunContext
from tasks.publish import Harvest


@dataclass(frozen=True)
class ReportLinks:
    """Where the run's gallery lies: a path, or a URL of the store."""

    gallery: str


def report(context: RunContext, harvest: Harvest, run: RunRecord) -> ReportLinks:
    return ReportLinks("")


def report_plan(plan: object) -> None:
    pass
