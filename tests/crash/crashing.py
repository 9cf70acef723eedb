"""Crashes a night at each of its operations, and runs the next one on what is left."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog_schemas.errors import StoreUnreachable
from tasks.storage.objects import ObjectStore
from tests.crash.night import BAD, run_night
from tests.crash.soundness import Rows, content, read_tables, violations
from tests.crash.watched import FadingDisk, Killed, Operation, WatchedStore, tear, tear_upload

Catalog = dict[str, int]  # SKU to the version of its photo


@dataclass(frozen=True)
class Scenario:
    """The catalogs of the nights before, and of the night that is crashed."""

    before: tuple[Catalog, ...]
    tonight: Catalog


SCENARIOS = {
    "first night": Scenario((), {"mug": 1, "lamp 3/ü": 1}),
    "changed night": Scenario(({"mug": 1, "vase": 1, "bowl": 1},), {"mug": 2, "vase": 1, "lamp 3/ü": 1, BAD: 1}),
}
LEFT = ("after", "torn", "power cut: names", "power cut: flushed")  # what a dead process or machine leaves
LIVED = ("reply lost, request repeated", "reply lost, stage repeated")
OTHERS = "another run publishes meanwhile"
OTHER_RUN = {"vase": 1, "mug": 3}


@dataclass
class Uninterrupted:
    """A scenario run to its end: its operations, and the tables before and after."""

    operations: list[Operation]
    before: Rows
    after: Rows
    published: int


def uninterrupted(scenario: Scenario, store: WatchedStore) -> Uninterrupted:
    """Runs a scenario without a crash, on an empty store."""
    prepare(scenario, store)
    before, operations = content(read_tables(store)), list[Operation]()

    def note(operation: Operation, call: Callable[[], Any]) -> Any:
        operations.append(operation)
        return call()

    store.hook = note
    run = run_night(store, scenario.tonight, "whole")
    return Uninterrupted(operations, before, content(read_tables(store)), run.images_published)


def prepare(scenario: Scenario, store: ObjectStore) -> None:
    """The nights before."""
    for number, catalog in enumerate(scenario.before):
        run_night(store, catalog, f"before-{number}")


def crash_states(
    scenario: Scenario, mode: str, folder: Path, disk: type[FadingDisk] = FadingDisk
) -> list[tuple[Operation, Path]]:
    """The operations of the night, each with the folder that a crash in `mode` at it leaves.

    A killed process leaves its store as it is at that moment, so one night gives them all. What is there before an
    operation is what is there after the one before it, and is not looked at twice.
    """
    store = WatchedStore(str(folder / "night"))
    prepare(scenario, store)
    fading = disk(folder / "night")
    store._driver = fading
    build = {
        "after": lambda to: copy_store(folder / "night", to),
        "power cut: names": fading.leave_names,
        "power cut: flushed": fading.leave_flushed,
    }
    left = list[tuple[Operation, Path]]()

    def watch(operation: Operation, call: Callable[[], Any]) -> Any:
        left.append((operation, folder / f"left-{len(left)}"))
        if mode == "torn":
            _torn(operation, folder / "night", left[-1][1])
            return call()
        result = call()
        build[mode](left[-1][1])
        return result

    store.hook = watch
    run_night(store, scenario.tonight, "crashed")
    return left


def copy_store(store: Path, to: Path) -> None:
    """A copy that shares its files with the store: a file of a store is replaced or deleted, never changed."""
    shutil.copytree(store, to, copy_function=os.link)


def lost(operation: Operation, store: ObjectStore) -> list[str]:
    """What is wrong with a store in which this operation had ended before the crash."""
    if operation.kind == "delete":
        return []
    path = Path(store.url) / operation.keys[0]
    if operation.kind == "commit":
        kept = path.is_file() and path.read_bytes().endswith(b"}")
    else:
        kept = path.is_file() and path.read_bytes() == operation.data
    return [] if kept else [f"{operation.keys[0]}: had been written and is lost"]


def _torn(operation: Operation, night: Path, to: Path) -> None:
    if night.exists():
        copy_store(night, to)
    tear(operation, to)


def crash_hook(mode: str, number: int, store: ObjectStore) -> Callable[[Operation, Callable[[], Any]], Any]:
    """A hook that lets something happen at operation `number`, counted from 0."""
    seen, dead = -1, False

    def hook(operation: Operation, call: Callable[[], Any]) -> Any:
        nonlocal seen, dead
        if dead:
            raise Killed
        seen += 1
        if seen != number:
            return call()
        if mode == OTHERS:
            run_night(ObjectStore(store.url), OTHER_RUN, "other")
            return call()
        if mode == "reply lost, request repeated":
            call()
            return call()
        if mode == "torn":
            tear_upload(operation, store)
        elif mode != "before":
            call()
        if mode == "reply lost, stage repeated":
            raise StoreUnreachable(f"{operation.keys[0]}: reply lost")
        dead = True
        raise Killed

    return hook


def resume(scenario: Scenario, whole: Uninterrupted, store: WatchedStore) -> list[str]:
    """Checks a crashed store, runs the next night on it, and checks that; returns what is wrong."""
    try:
        tables = read_tables(store)
        faults = violations(store, tables) + _half_published(whole, content(tables))
        finished = {info.key for info in store.list("cache/stages")}
        again: list[str] = []

        def watch(operation: Operation, call: Callable[[], Any]) -> Any:
            if operation.kind == "write":
                again.extend(finished.intersection(operation.keys))
            return call()

        store.hook = watch
        run_night(store, scenario.tonight, "resumed")
        faults += [f"{key}: finished before the crash and made again" for key in again]
        return faults + ended(whole, store)
    except Exception as error:  # of any kind: the night was not completed
        return [f"{type(error).__name__}: {error}"]


def ended(whole: Uninterrupted, store: ObjectStore) -> list[str]:
    """What is wrong with a store whose night has been completed."""
    rows = read_tables(store)
    faults, tables = violations(store, rows), content(rows)
    faults += [f"{name}: not as after a night without a crash" for name in tables if tables[name] != whole.after[name]]
    tonight = sum(row["images_published"] for row in rows["runs"] if not row["run_id"].startswith("before"))
    if tonight != whole.published:
        faults.append(f"runs: {tonight} images published, expected {whole.published}")
    return faults + [f"{info.key}: left behind" for info in store.list("cache/publishing")]


def _half_published(whole: Uninterrupted, tables: Rows) -> list[str]:
    return [
        f"{name}: neither as before the night nor as after it"
        for name, rows in tables.items()
        if rows not in (whole.before[name], whole.after[name])
    ]
