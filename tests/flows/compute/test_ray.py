"""Several devices, each with a process of Ray's: here they are shares of the processor."""

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import psutil
import pytest
import torch

from catalog_schemas.errors import CatalogError, ConfigError, ModelError, StoreFull, WorkerLost
from configs.schema import ComputeConfig, ModelConfig, RunConfig
from flows.compute import ray_cluster, workers
from flows.compute.ray_cluster import Cluster
from flows.start import start_run
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.runtime.progress import Step, Stopped, stoppable
from tests.flows import stages
from tests.flows.dying import Dying
from tests.flows.shop import Shop, assert_sound, comparable

SECONDS = 300  # on a busy machine
TWO = {"cohort_size": 4, "devices": 2, "device": "cpu"}
ALONE: dict[str, Any] = {"variants": {"limit_per_sku": 3}, "compute": {"chunk_size": 4}}


@pytest.fixture(scope="module", autouse=True)
def one_thread_each() -> Iterator[None]:
    """As tests of flows have it: then bytes are equal wherever they are made."""
    with patch.object(ray_cluster, "_cores_for_each", lambda devices: 1):
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, model: Any, prefect: str) -> Shop:
    """Four products, run in this process: two cohorts, as two devices have them."""
    shop = Shop(tmp_path_factory.mktemp("alone"), model, changes=ALONE)
    for number in range(4):
        shop.add(f"sku-{number}", number)
    shop.run()
    return shop


@pytest.fixture(scope="module")
def context(alone: Shop) -> RunContext:
    return start_run(alone.parameters())


@pytest.fixture(scope="module")
def cluster(alone: Shop) -> Iterator[Cluster]:
    """Two devices for all tests, since to start them takes as long as most of what they do."""
    with Cluster(ComputeConfig.model_validate(TWO)) as started:
        _wait_for_both(started)
        yield started
        devices = _devices()
    _, alive = psutil.wait_procs(devices, timeout=SECONDS)
    assert not alive, "they end with it"


@dataclass
class Lent:
    """A cluster that a run takes for one of its own, and does not end."""

    cluster: Cluster

    def __enter__(self) -> None:
        _wait_for_both(self.cluster)

    def __exit__(self, *_: object) -> None:
        pass

    def run(self, *work: Any) -> Any:
        return self.cluster.run(*work)


def _wait_for_both(cluster: Cluster) -> None:
    until = time.monotonic() + SECONDS
    while len(cluster.pool) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)


def _devices() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if _is_a_device(process)]


def _is_a_device(process: psutil.Process) -> bool:
    try:
        return "ray::Device" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def test_two_devices_make_what_one_makes_and_those_that_are_killed_are_replaced(
    alone: Shop, cluster: Cluster, tmp_path: Any
) -> None:
    shop = replace(alone, store=str(tmp_path / "store"), changes=ALONE | {"compute": ALONE["compute"] | TWO})
    lost, follow, killed = list[BaseException](), ray_cluster._follow, list[int]()

    def deadly(ray: Any, stream: Any) -> Any:
        def words() -> Iterator[Any]:
            for reference in stream:
                if not killed and isinstance(ray.get(reference), Step):
                    killed.extend(process.pid for process in _devices())
                    for pid in killed:
                        os.kill(pid, signal.SIGKILL)
                yield reference

        try:
            return follow(ray, words())
        except ray.exceptions.RayActorError as error:
            lost.append(error)
            raise

    with patch.object(ray_cluster, "_follow", deadly), patch.object(workers, "Cluster", lambda compute: Lent(cluster)):
        record = shop.run().record

    assert 1 <= len(lost) <= 4, "as many as they had at once"
    assert (record.adapters_trained, record.images_published) == (4, 12)
    for name in ("images", "adapters", "rejections", "skus"):
        assert comparable(shop, name) == comparable(alone, name), name
    assert_sound(shop)
    assert {process.pid for process in _devices()}.isdisjoint(killed)
    with patch.object(Cluster, "__enter__", side_effect=AssertionError("a night with nothing to do starts nothing")):
        assert shop.run().record.images_planned == 0


@pytest.mark.parametrize(
    ("device", "there", "gpus"), [("auto", 0, False), ("auto", 2, True), ("cuda", 3, True), ("cpu", 2, False)]
)
def test_devices_are_gpus_where_there_are_any(device: str, there: int, gpus: bool) -> None:
    cluster = Cluster(ComputeConfig.model_validate({"devices": 2, "device": device}))
    cluster._use_gpus(there)
    assert cluster.gpus == gpus


@pytest.mark.parametrize(("device", "there"), [("auto", 1), ("cuda", 0)])
def test_gpus_that_are_not_there_are_told(device: str, there: int) -> None:
    says = (
        rf"compute\.devices is 2, but this machine has {there} GPUs; set it to as many as there are, or name a cluster"
    )
    with pytest.raises(ConfigError, match=says):
        Cluster(ComputeConfig.model_validate({"devices": 2, "device": device}))._use_gpus(there)


def test_a_cluster_that_is_not_there_is_told() -> None:
    says = r"compute\.ray: no Ray cluster answers at '127\.0\.0\.1:1' .*refused"
    with pytest.raises(ConfigError, match=says), Cluster(ComputeConfig(ray="127.0.0.1:1")):
        pass


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        ("full", StoreFull, "s3://shop/store: no space left"),
        ("catalog", CatalogError, "catalog.parquet: the catalog cannot be used:\n  - no column sku"),
        ("bug", ZeroDivisionError, "division by zero"),
    ],
)
def test_errors_arrive_as_they_were_raised(
    cluster: Cluster, context: RunContext, how: str, kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind) as caught:
        cluster.run(stages.fail, 1, context, how)
    assert str(caught.value).startswith(says)
    assert type(caught.value) is kind


def test_a_process_that_dies_is_told_and_replaced(cluster: Cluster, context: RunContext) -> None:
    import ray

    light = ray.remote(num_cpus=0, max_concurrency=ray_cluster.CALLS)(stages.DeviceThatLoadsNothing).remote
    with patch.object(cluster, "new_device", light):
        with pytest.raises(WorkerLost, match=r"was to die ended before it had.*compute\.cohort_size"):
            cluster.run(stages.die, 1, context)
        _wait_for_both(cluster)
    pids = {cluster.run(stages.count, 1, context, 1)[0] for _ in range(2)}
    assert pids <= {process.pid for process in _devices()}


def test_a_process_that_dies_before_it_is_ready_is_tried_again_and_then_told(cluster: Cluster) -> None:
    begun, other = list[None](), Cluster(cluster.compute)

    def dying() -> Any:
        import ray

        begun.append(None)
        return ray.remote(num_cpus=0)(Dying).remote()

    other.new_device = dying
    other._begin()
    with pytest.raises(WorkerLost, match="was to begin ended before it had"), other.pool.lent(1):
        pass
    assert len(begun) == 3


def test_a_process_that_is_lost_as_the_cluster_ends_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would wait for that in the thread that its shutdown waits for."""
    import ray

    ending, begun, lost = Cluster(ComputeConfig.model_validate(TWO)), list[None](), Future[None]()

    def starting() -> Any:
        begun.append(None)
        return SimpleNamespace(ready=SimpleNamespace(remote=lambda gpus: SimpleNamespace(future=lambda: lost)))

    ending.new_device = starting
    ending._begin()
    monkeypatch.setattr(ray, "shutdown", lambda: lost.set_exception(ray.exceptions.ActorDiedError()))
    ending.__exit__()
    assert len(begun) == 1


def test_a_device_without_its_gpu_is_told() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelError, match=r"compute\.device is 'cuda', but this machine has none"):
        ray_cluster.Device().ready(True)


def test_a_device_is_given_as_much_at_once_as_asked_and_all_have_some(cluster: Cluster, context: RunContext) -> None:
    def together(share: int) -> list[tuple[int, int]]:
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(lambda _: cluster.run(stages.count, share, context, 5), range(6)))

    for share in (1, 2):
        seen = together(share)
        assert len({pid for pid, _ in seen}) == 2
        assert max(most for _, most in seen) == share


def test_a_device_that_never_comes_keeps_nobody_waiting(cluster: Cluster, context: RunContext) -> None:
    begin = cluster.new_device

    def nowhere() -> Any:
        import ray

        return ray.remote(resources={"nowhere": 1})(ray_cluster.Device).remote()

    before = len(_devices())
    cluster.new_device = nowhere
    cluster._begin()
    cluster.new_device = begin
    with ThreadPoolExecutor(3) as pool:
        seen = list(pool.map(lambda _: cluster.run(stages.count, 1, context, 1), range(3)))
    assert len({pid for pid, _ in seen}) <= 2
    assert len(_devices()) == before


def test_what_is_said_there_is_shown_here(
    cluster: Cluster, context: RunContext, caplog: pytest.LogCaptureFixture
) -> None:
    steps = list[tuple[int, int]]()
    with patch.object(ray_cluster, "Progress") as progress, caplog.at_level(logging.WARNING, "tasks"):
        progress.return_value.__enter__.return_value.update = lambda *step: steps.append(step)
        progress.return_value.__enter__.return_value.what = "counting"
        cluster.run(stages.count, 1, context, 12)
    assert steps[-1] == (12, 12)
    assert len(steps) < 12, "not each one"
    assert [record.getMessage() for record in caplog.records] == ["counted to 12"]


def test_what_threads_of_a_stage_say_is_shown_as_its_own(caplog: pytest.LogCaptureFixture) -> None:
    config = RunConfig(model=ModelConfig(source="none"))
    context = RunContext("run", "", "", config, ModelFolder("", "", 64, ""), datetime.now(UTC))

    def said(name: str) -> list[str]:
        words = ray_cluster.answer(stages.__name__, "tell", logging.WARNING, (context, name))
        return sorted(word.getMessage() for word in words if isinstance(word, logging.LogRecord))

    with caplog.at_level(logging.WARNING, "tasks"), ThreadPoolExecutor(2) as pool:
        assert list(pool.map(said, "ab")) == [["a 0", "a 1"], ["b 0", "b 1"]]


@pytest.mark.soak
def test_a_cluster_that_is_there_is_used_by_its_address(alone: Shop, cluster: Cluster, tmp_path: Any) -> None:
    import ray

    compute = ALONE["compute"] | {"ray": ray.get_runtime_context().gcs_address, "device": "cpu"}
    shop = replace(alone, store=str(tmp_path / "store"), changes=ALONE | {"compute": compute})
    environment = os.environ | {"RAY_AUTH_MODE": "token", "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(shop.command(), env=environment, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "nothing of Ray's own"
    for name in ("images", "adapters"):
        assert comparable(shop, name) == comparable(alone, name), name


def test_what_needs_no_device_runs_elsewhere(cluster: Cluster, context: RunContext) -> None:
    pid = cluster.run(stages.where, None, context)
    assert pid not in {os.getpid(), *(process.pid for process in _devices())}


def test_an_interrupted_run_does_not_wait_for_what_is_under_way(cluster: Cluster, context: RunContext) -> None:
    with stoppable() as stop:
        follow_step = ray_cluster.Progress.update

        def interrupted(progress: Any, done: int, total: int) -> None:
            stop()
            follow_step(progress, done, total)

        with patch.object(ray_cluster.Progress, "update", interrupted), pytest.raises(Stopped):
            cluster.run(stages.count, 1, context, 30)
        with pytest.raises(Stopped):
            cluster.run(stages.count, 1, context, 1)


def test_ray_that_is_not_installed_is_told_before_anything_is_done(shop: Shop) -> None:
    shop.add("mug-1", 0)
    shop.changes = {"compute": TWO}
    with (
        patch.object(ray_cluster.importlib.util, "find_spec", lambda name: None),
        pytest.raises(ConfigError, match=r"need Ray: pip install 'packshot\[ray\]'"),
    ):
        shop.run()
