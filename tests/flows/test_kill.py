"""A run that is killed at any point is completed by the next one, as if nothing had happened."""

import os
import random
import signal
import time
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from catalog_schemas.draft import Draft
from tasks.runtime.ledger import recorded
from tests.flows.killed import start
from tests.flows.shop import Shop, assert_sound, assert_whole, comparable

TABLES = ("images", "adapters", "rejections", "skus")
SECONDS = 300  # on a busy machine


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """Four products, one with a damaged photo, run once without a disturbance."""
    shop = Shop(tmp_path_factory.mktemp("undisturbed"), model)
    for number in range(4):
        shop.add(f"sku-{number}", number)
    shop.changes = {
        "checks": [{"name": "contrast", "minimum": 2}, {"name": "novelty", "minimum": 1}],
        "compute": {"chunk_size": 4},
    }
    cut = shop.folder / "photos-2" / "1.png"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    shop.run()
    assert len(shop.table("adapters")) == 4
    return shop


def _kill(process: ForkServerProcess) -> bool:
    """Kills a run with all that it has started; False where it had just ended by itself, and well."""
    assert process.pid
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it has no group of its own yet
        process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _files(store: Path, pattern: str) -> dict[str, tuple[int, int]]:
    """Files with their inode and time: another pair where one was written again."""
    return {str(path.relative_to(store)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in store.glob(pattern)}


@pytest.mark.parametrize(
    ("phase", "finished"),
    [
        ("cache/stages/generate_variants/*.json", "cache/references/*"),
        ("cache/stages/train_adapters/*.json", "adapters/*/*/adapter.safetensors"),
        ("images/*/*/*_regenerate_*", "adapters/*/*/adapter.safetensors"),
        ("cache/publishing/*.json", "images/*/*/*"),
    ],
    ids=["first images", "training", "images of adapters", "publishing"],
)
def test_a_killed_run_is_completed_by_the_next(undisturbed: Shop, tmp_path: Path, phase: str, finished: str) -> None:
    shop = replace(undisturbed, store=str(tmp_path / "store"))
    store = Path(shop.store)
    process = start(shop.parameters(), until=phase)
    process.join(SECONDS)
    assert process.exitcode == -signal.SIGKILL
    assert not shop.table("runs"), "killed in time"
    assert_whole(store)
    done = _files(store, finished)
    drafts = {name: seen for chunk in _finished_chunks(shop) for name, seen in _files(store, f"{chunk}*").items()}
    assert done

    shop.run()

    for name in TABLES:
        assert comparable(shop, name) == comparable(undisturbed, name), name
    assert_sound(shop)
    assert_whole(store)
    assert _kept(done, _files(store, finished)), "what was finished is not made again"
    assert _kept(drafts, _files(store, "cache/drafts/*")), "drafts of finished chunks are not drawn again"
    assert not shop.plan().jobs


def _finished_chunks(shop: Shop) -> list[str]:
    """The drafts that a stage record speaks of."""
    results = recorded(shop.objects, "generate_variants", Draft).values()
    return [draft.image_key for result in results for draft in result.records]


def _kept(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> bool:
    return {name: after.get(name) for name in before} == before


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, model: Path, prefect: str) -> Shop:
    """Two products, one with a damaged photo, and little to do, run once without a disturbance."""
    shop = Shop(tmp_path_factory.mktemp("short"), model)
    shop.add("mug-1", 0)
    shop.add("lamp 3/ü", 1)
    shop.changes = {"variants": {"limit_per_sku": 3}, "compute": {"chunk_size": 2}}
    cut = shop.folder / "photos-0" / "1.png"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    shop.run()
    return shop


@pytest.fixture(scope="module")
def seconds(short: Shop, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a run takes in a process of its own, once the server that forks it is there."""
    for name in ("first", "timed"):
        shop = replace(short, store=str(tmp_path_factory.mktemp(name) / "store"))
        began, process = time.monotonic(), start(shop.parameters())
        process.join(SECONDS)
        assert process.exitcode == 0
    return time.monotonic() - began


@pytest.mark.soak
@pytest.mark.parametrize("series", range(50))
def test_runs_that_are_killed_at_random_moments_end_as_if_they_had_not_been(
    short: Shop, seconds: float, tmp_path: Path, series: int
) -> None:
    """Four kills in each series: of one run and those that go on with it, or of several where one ends first."""
    moments, kills, stores = random.Random(series), 0, 0
    while kills < 4:
        stores += 1
        shop = replace(short, store=str(tmp_path / f"store-{stores}"))
        while kills < 4 and _killed_after(moments.uniform(0, seconds), shop):
            kills += 1
            if any(Path(shop.store).rglob("*.*")):
                assert_whole(Path(shop.store))
            assert_sound(shop)
        shop.run()
        for name in TABLES:
            assert comparable(shop, name) == comparable(short, name), name
        assert_sound(shop)
        assert_whole(Path(shop.store))
        assert shop.keys("images") == short.keys("images")
        again = shop.run().record
        assert (again.adapters_trained, again.images_planned) == (0, 0)


def _killed_after(moment: float, shop: Shop) -> bool:
    """Starts a run and kills it; False where it has ended before, as it should."""
    process = start(shop.parameters())
    process.join(moment)
    if process.exitcode is None:
        return _kill(process)
    assert process.exitcode == 0
    return False
