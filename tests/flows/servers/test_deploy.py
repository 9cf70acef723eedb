"""`packshot deploy`: schedule and forms on a Prefect server of the user's own, whose workers are elsewhere."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings

import infra
from catalog_schemas.errors import ConfigError
from flows.commands.command_line import main
from flows.servers.deploy import DeployOptions, deploy

TEMPLATE = json.loads((Path(infra.__file__).parent / "prefect" / "kubernetes.json").read_text())
OWN_SCENE = {"our-window": {"title": "Ours", "group": "studio", "prompt": "in a window", "empty_prompt": "a window"}}


@pytest.fixture(scope="module")
def pool(prefect: str) -> Iterator[str]:
    async def create() -> None:
        wanted = WorkPoolCreate(name="far", type="kubernetes", base_job_template=TEMPLATE)
        async with get_client() as client:
            await client.create_work_pool(wanted, overwrite=True)

    async def unlimit() -> None:
        async with get_client() as client:
            await client.delete_concurrency_limit_by_tag("gpu")

    asyncio.run(create())
    yield "far"
    asyncio.run(unlimit())  # other tests' runs use this server, too


def _options(pool: str, **changes: Any) -> DeployOptions:
    return DeployOptions("s3://shop/catalog.parquet", "s3://shop/store", "demo", pool, **changes)


async def _found() -> tuple[dict[str, DeploymentResponse], int]:
    async with get_client() as client:
        limit = await client.read_concurrency_limit_by_tag("gpu")
        found = {one.name: one for one in await client.read_deployments() if one.work_pool_name == "far"}
    return found, limit.concurrency_limit


def test_the_command_sets_up_what_workers_of_the_pool_will_run(
    pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Places as the workers see them, the shop's own scenes in the form, and no GPU for what needs none."""
    monkeypatch.chdir(tmp_path)
    scenes = tmp_path / "library" / "scenes"
    scenes.mkdir(parents=True)
    (scenes / "own.yaml").write_text(json.dumps(OWN_SCENE))
    (tmp_path / "shop.yaml").write_text("model: {source: s3://shop/model}\nlibrary: [library]\n")
    where = ["s3://shop/catalog.parquet", "--store", "store", "--config", "shop.yaml", "--pool", pool, "--json"]
    told = ["--job-variable", "image=shop/packshot:1", "--job-variable", "gpus=2", "--job-variable", "cpu=16"]
    when = ["--cron", "30 1 * * *", "--timezone", "Europe/Berlin", "--limit", "500", "--devices", "3"]
    assert main(["deploy", *where, *told, *when]) == 0
    answer = json.loads(capsys.readouterr().out)
    found, devices = asyncio.run(_found())
    night, form, reviews = (found[name] for name in ("nightly-refresh", "make-variants", "review-images"))
    assert answer["make_variants"] == str(form.id)
    assert f"/deployment/{form.id}/run" in answer["text"]
    places = {"catalog": where[0], "store": str(tmp_path / "store"), "preset": str(tmp_path / "shop.yaml")}
    assert night.parameters == {"parameters": places | {"limit": 500}}
    assert [(one.schedule.cron, one.schedule.timezone) for one in night.schedules] == [("30 1 * * *", "Europe/Berlin")]
    assert night.job_variables == form.job_variables == {"image": "shop/packshot:1", "gpus": 2, "cpu": "16"}
    assert reviews.job_variables == {"image": "shop/packshot:1", "gpus": 0, "cpu": "16"}
    asked = form.parameter_openapi_schema["definitions"]["MakeVariantsParameters"]["properties"]
    assert "our-window" in asked["scenes"]["items"]["enum"]
    assert devices == 3


def test_given_again_it_changes_what_is_there(pool: str) -> None:
    deploy(_options(pool, cron="0 3 * * *", devices=4))
    first, _ = asyncio.run(_found())
    deploy(_options(pool, cron="0 4 * * *"))
    again, devices = asyncio.run(_found())
    assert {name: one.id for name, one in again.items()} == {name: one.id for name, one in first.items()}
    assert [one.schedule.cron for one in again["nightly-refresh"].schedules] == ["0 4 * * *"]
    assert devices == 4  # as it was


@pytest.mark.parametrize("text", ["images=1", "image"])
def test_a_job_variable_that_the_pool_does_not_know_is_refused(pool: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"--job-variable {text}: .*cpu, .*image, "):
        deploy(_options(pool, job_variables=(text,)))


def test_a_pool_that_is_not_there_is_said_how_to_create(prefect: str) -> None:
    with pytest.raises(ConfigError, match=r"--pool none: .*prefect work-pool create none --type"):
        deploy(_options("none"))


def test_a_server_is_needed_that_is_named_and_answers(prefect: str) -> None:
    for url, words in ((None, "set PREFECT_API_URL"), ("http://127.0.0.1:9/api", "127.0.0.1:9.* does not answer")):
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(ConfigError, match=words):
            deploy(_options("far"))
