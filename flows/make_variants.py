"""The merchandisers' flow: images of chosen products in chosen scenes and colours."""

from dataclasses import replace

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from flows.parameters import MakeVariantsParameters
from flows.pipeline import RunOutcome, run_pipeline
from flows.start import chosen_config, start_run
from tasks.plan import Selection, make_plan
from tasks.report import report_plan


@flow(
    name="make-variants",
    task_runner=ThreadPoolTaskRunner(max_workers=4),  # type: ignore[arg-type]
    persist_result=False,
)
def make_variants(parameters: MakeVariantsParameters) -> RunOutcome | None:
    """Makes images of the products you name, in the scenes and colours you choose.

    Products that have no adapter yet are trained first, where the technique needs one. Images that are there already
    are not made again. The run's page shows a table of what was made, thumbnails, and a link to the gallery.
    """
    context = replace(start_run(parameters, chosen_config(parameters)), origin="request")
    selection = Selection(tuple(parameters.skus), parameters.category)
    if parameters.dry_run:
        report_plan(make_plan(context, selection))
        return None
    return run_pipeline(context, selection)
