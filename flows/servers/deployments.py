"""What stands in the Prefect UI: the deployments with their schedule and limits, and the limit of the devices.

Another deployment is another entry in `register`. All of it may be done again: it brings what is there up to date.
"""

import asyncio
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType, WorkPoolStatus
from prefect.schedules import Cron
from prefect.server.schemas.schedules import CronSchedule
from prefect.states import Cancelled
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from catalog_schemas.errors import ConfigError
from configs.library import load_library
from configs.preset import load_preset
from flows.make_variants import make_variants
from flows.parameters import MakeVariantsParameters, RefreshParameters, ReviewParameters, StoreParameters, choices
from flows.refresh_catalog import refresh_catalog
from flows.review_images import review_images
from tasks.runtime.stage_options import DEVICE_TAG

POOL = "packshot"  # of packshot serve, on its own server
ENDED = "packshot serve was stopped during this run. What it had finished is kept: start it again, and it goes on."
PAGE = 200  # flow runs that the API gives at once


@dataclass(frozen=True)
class Places:
    """What every deployment is pre-filled with, so that nobody need type it: see `flows.parameters.RunParameters`."""

    catalog: str
    store: str
    preset: str


@dataclass(frozen=True)
class Site:
    """The work pool whose workers do the runs, and what it is told for each of them (Prefect's job variables)."""

    pool: str
    job_variables: Mapping[str, Any]
    review_variables: Mapping[str, Any]  # of runs that need no device


@dataclass(frozen=True)
class Nightly:
    """When the refresh runs, by a cron line in a time zone, and how many products it looks at; 0: all."""

    cron: str
    timezone: str
    limit: int = 0

    def next_run(self, after: datetime) -> datetime:
        """The first time after `after`, in the schedule's own zone. Raises ConfigError where either is wrong."""
        fields = len(self.cron.split())
        try:
            if fields > 5:  # Prefect would read a sixth one as seconds, and put days where hours were meant
                raise ValueError(f"it has {fields} fields, not minute, hour, day, month and weekday")
            schedule = CronSchedule(cron=self.cron, timezone=self.timezone)
            return asyncio.run(schedule.get_dates(n=1, start=after))[0]
        except ValueError as error:  # of a date that no year has, too
            told = error.errors(include_url=False) if isinstance(error, ValidationError) else [{"msg": str(error)}]
            faults = "; ".join(fault["msg"] for fault in told)
            raise ConfigError(
                f"the schedule {self.cron!r} in time zone {self.timezone!r} cannot be used: {faults}; "
                'expected the like of --cron "0 2 * * *" --timezone Europe/Berlin'
            ) from error


@dataclass(frozen=True)
class Deployed:
    """The deployments' ids, for links into the UI."""

    nightly_refresh: UUID
    make_variants: UUID
    review_images: UUID

    def told(self, ui: str, nightly: Nightly, galleries: str = "") -> list[str]:
        """Where a person finds what, in lines; `ui` is the URL of Prefect's UI, `galleries` of their front page."""
        deployments = f"{ui}/deployments"
        look = "Look at everything that is live, by SKU, title or category, and at what nobody has reviewed"
        return [
            "Make images of products that you choose: open this, fill in what you want, press Submit",
            f"  {deployments}/deployment/{self.make_variants}/run",
            "",
            "Approve and reject images: open this, paste what the gallery has copied, press Submit",
            f"  {deployments}/deployment/{self.review_images}/run",
            "",
            *((look, f"  {galleries}", "") if galleries else ()),
            "Everything that can be started, and what has run",
            f"  {deployments}",
            "",
            f"nightly-refresh of the whole catalog: next {nightly.next_run(datetime.now(UTC)):%A %Y-%m-%d %H:%M} "
            f"{nightly.timezone}",
        ]


async def own_site(folder: Path) -> Site:
    """The work pool of `packshot serve`, set up on its server: processes of this machine, which work in `folder`."""
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
    told = {"command": shlex.join([sys.executable, "-m", "prefect.engine"]), "working_dir": str(folder)}
    return Site(POOL, told, told)


async def limit_devices(devices: int) -> None:
    """Has at most `devices` tasks train or draw at once, whatever runs they belong to: a device holds one model."""
    async with get_client() as client:
        await client.create_concurrency_limit(tag=DEVICE_TAG, concurrency_limit=devices)


async def register(places: Places, nightly: Nightly, site: Site) -> Deployed:
    """Sets up all deployments on the server.

    The nightly refresh never runs twice at once: a second start is cancelled. People's runs wait in line instead.
    """
    library = load_library(*load_preset(places.preset).library)
    shared: dict[str, Any] = {"work_pool_name": site.pool, "entrypoint_type": EntrypointType.MODULE_PATH}
    drawing = shared | {"job_variables": dict(site.job_variables)}
    refresh = await refresh_catalog.ato_deployment(
        "nightly-refresh",
        schedule=Cron(nightly.cron, timezone=nightly.timezone),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        parameters=_prefilled(RefreshParameters(**vars(places), limit=nightly.limit)),
        tags=["nightly"],
        **drawing,
    )
    variants = await make_variants.ato_deployment(
        "make-variants",
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        parameters=_prefilled(MakeVariantsParameters(**vars(places))),
        tags=["merchandisers"],
        **drawing,
    )
    reviews = await review_images.ato_deployment(
        "review-images",
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        parameters=_prefilled(ReviewParameters(store=places.store)),
        tags=["merchandisers"],
        job_variables=dict(site.review_variables),
        **shared,
    )
    # Prefect derives the form from the flow's signature, which knows the shipped library alone
    form = variants._parameter_openapi_schema.definitions[MakeVariantsParameters.__name__]["properties"]
    for field, schema in choices(library).items():
        form[field] |= schema
    return Deployed(await refresh.aapply(), await variants.aapply(), await reviews.aapply())


async def worker_is_there() -> bool:
    """Whether a worker takes runs: before that, the UI calls the deployments not ready."""
    async with get_client() as client:
        return (await client.read_work_pool(POOL)).status == WorkPoolStatus.READY


async def runs_going() -> list[UUID]:
    """The runs that the server takes to be going, whether or not a worker is doing them."""
    states = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING])
    wanted = FlowRunFilter(state=FlowRunFilterState(type=states))
    found: list[UUID] = []
    async with get_client() as client:
        while page := await client.read_flow_runs(flow_run_filter=wanted, limit=PAGE, offset=len(found)):
            found += [run.id for run in page]
    return found


async def cancel_runs(runs: Iterable[UUID]) -> None:
    """Marks those of `runs` as cancelled that have neither completed nor been cancelled: call it when their processes
    have ended.

    Otherwise they would be going for ever, and hold their deployment's place. Prefect calls a run that was stopped on
    purpose crashed or, where one of its helpers went a moment before it, failed.
    """
    async with get_client() as client:
        for run in runs:
            state = (await client.read_flow_run(run)).state
            if state is None or not (state.is_completed() or state.is_cancelled()):
                ended = state is not None and state.is_final()
                await client.set_flow_run_state(run, Cancelled(message=ENDED), force=ended)


def _prefilled(parameters: StoreParameters) -> dict[str, Any]:
    return {"parameters": parameters.model_dump(mode="json")}
