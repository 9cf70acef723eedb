"""The merchandisers' flow: images of chosen products in chosen scenes and colours."""

from dataclasses import replace

from prefect import flow

from flows.parameters import MakeVariantsParameters
from flows.pipeline import RunOutcome, run_pipeline
from flows.start import chosen_config, start_run
from tasks.plan import make_plan
from tasks.reporting.artifacts import show_plan


@flow(name="make-variants", persist_result=False)
def make_variants(parameters: MakeVariantsParameters) -> RunOutcome | None:
    """Makes images of the products you name, in the scenes and colours you choose.

    Press Run, then Custom run, fill in the form, and press Submit. What was made shows on the run's page, under
    Artifacts: a table, thumbnails, and where the gallery is.

    Products that have no adapter yet are trained first, where the technique needs one. Images that are there already
    are not made again, so asking twice costs nothing. Runs wait for each other.
    """
    selection = parameters.products
    context = replace(start_run(parameters, chosen_config(parameters)), origin="request")
    if parameters.dry_run:
        show_plan(make_plan(context, selection))
        return None
    return run_pipeline(context, selection)
