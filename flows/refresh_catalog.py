"""The nightly flow: makes whatever of the whole catalog is new or has changed."""

from prefect import flow

from flows.parameters import RefreshParameters
from flows.pipeline import RunOutcome, run_pipeline
from flows.start import start_run


@flow(name="refresh-catalog", persist_result=False)
def refresh_catalog(parameters: RefreshParameters) -> RunOutcome:
    """Trains an adapter for every SKU that is new or changed, and makes the images that are missing.

    What the store holds is not made again, so a second run on the same catalog does nothing. A bad row, photo or
    image costs itself alone and is listed with its reason.
    """
    return run_pipeline(start_run(parameters), parameters.products)
