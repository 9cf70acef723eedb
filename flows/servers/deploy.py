"""Sets up schedule and forms on a Prefect server of the user's own, for workers on other machines."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL

from catalog_schemas.errors import ConfigError
from flows.presets import absolute_preset, runnable_preset
from flows.servers.deployments import Deployed, Nightly, Places, Site, limit_devices, register
from flows.start import absolute_url


@dataclass(frozen=True)
class DeployOptions:
    """What `packshot deploy` is told: `job_variables` are NAME=VALUE; with 0 `devices` their limit stays as it is."""

    catalog: str
    store: str
    preset: str
    pool: str
    job_variables: tuple[str, ...] = ()
    devices: int = 0
    cron: str = "0 2 * * *"
    timezone: str = "UTC"
    limit: int = 0


def deploy(options: DeployOptions) -> tuple[Deployed, str]:
    """Brings the server that PREFECT_API_URL names up to date; returns what is there now, and what to read of it.

    Catalog, store and model are the workers' and not looked at: this machine may have no way to them.
    Raises ConfigError.
    """
    runnable_preset(options.preset)
    nightly = Nightly(options.cron, options.timezone, options.limit)
    nightly.next_run(datetime.now(UTC))
    if not PREFECT_API_URL.value():
        raise ConfigError(
            "no Prefect server is named: set PREFECT_API_URL, or use packshot serve, which brings one for this machine"
        )
    places = Places(absolute_url(options.catalog), absolute_url(options.store), absolute_preset(options.preset))
    deployed = asyncio.run(_deploy(options, places, nightly))
    unseen = (
        f"Workers of the pool {options.pool!r} are to find the catalog at {places.catalog}, the store at "
        f"{places.store}, and the preset {places.preset}: nobody has looked; start a first run to see."
    )
    return deployed, "\n".join([*deployed.told(str(PREFECT_UI_URL.value()), nightly), "", unseen])


async def _deploy(options: DeployOptions, places: Places, nightly: Nightly) -> Deployed:
    site = await _site(options.pool, options.job_variables)
    if options.devices:
        await limit_devices(options.devices)
    return await register(places, nightly, site)


async def _site(pool: str, assignments: tuple[str, ...]) -> Site:
    """The pool, which must be there, told what `assignments` say. Raises ConfigError."""
    async with get_client() as client:
        if fault := await client.api_healthcheck():
            raise ConfigError(f"Prefect's server at {PREFECT_API_URL.value()} does not answer: {fault}")
        try:
            found = await client.read_work_pool(pool)
        except ObjectNotFound as error:
            raise ConfigError(
                f"--pool {pool}: there is no such work pool; create it first: prefect work-pool create {pool} "
                "--type process, or for Kubernetes as infra/prefect/README.md says"
            ) from error
    known = found.base_job_template.get("variables", {}).get("properties", {})
    told = dict(_job_variable(text, known) for text in assignments)
    without_device = {"gpus": 0} if "gpus" in known else {}  # a review waits for no such node
    return Site(pool, told, told | without_device)


def _job_variable(text: str, known: Mapping[str, Any]) -> tuple[str, Any]:
    """A job variable and its value, as the pool's template has it: Prefect takes any name, and heeds no other."""
    name, equals, value = text.partition("=")
    if not equals or name not in known:
        raise ConfigError(
            f"--job-variable {text}: expected NAME=VALUE with a name that the work pool knows: "
            f"{', '.join(sorted(known)) or 'it knows none'}"
        )
    if known[name].get("type") == "string":
        return name, value
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
