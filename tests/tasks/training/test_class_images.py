"""The images that a class is rehearsed with, for cohorts that train at once in one process."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

import pytest

from catalog_schemas.errors import ModelError
from configs.schema import RunConfig
from tasks.engine.base_model import load_base
from tasks.engine.rendering import RenderRequest
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.training import class_images as module
from tasks.training.class_images import class_images
from tests.configs_tiny import tiny_config
from tests.models.tiny import build_tiny_sd

IMAGES, SECONDS = 2, 300


class Turns:
    """A device's lock that knows when a second thread has asked for it."""

    def __init__(self) -> None:
        self.lock, self.first, self.second_came = threading.RLock(), threading.get_ident(), threading.Event()

    def __enter__(self) -> None:
        if threading.get_ident() != self.first:
            self.second_came.set()
        self.lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.lock.release()


def _context(folder: Path, store: Path, model: str = "m", resolution: int = 64, **changes: Any) -> RunContext:
    config = RunConfig.model_validate(tiny_config(folder, training={"prior_images": IMAGES}, **changes))
    return RunContext("run", "", str(store), config, ModelFolder("", model, resolution, ""), datetime.now(UTC))


def test_another_model_prompt_or_way_of_drawing_has_images_of_its_own_and_no_two_of_them_are_alike(
    tmp_path: Path,
) -> None:
    folder, store = build_tiny_sd(tmp_path / "model"), tmp_path / "store"
    base = load_base(folder, device="cpu")
    mugs, shown = "a photo of a mug", list[bytes]()
    for context, prompt in (
        (_context(folder, store), mugs),
        (_context(folder, store), "a photo of a vase"),
        (_context(folder, store, "other"), mugs),
        (_context(folder, store, resolution=32), mugs),
        (_context(folder, store, generation={"steps": 2}), mugs),
    ):
        there = {one.key for one in context.open().list("cache/class_images")}
        shown += [image.tobytes() for image in class_images(context, base, context.open(), prompt)]
        drawn = {one.key for one in context.open().list("cache/class_images")} - there
        assert len(drawn) == IMAGES
    assert len(set(shown[:IMAGES])) == IMAGES


def test_a_model_that_gives_no_finite_image_ends_the_run_and_leaves_none(tmp_path: Path) -> None:
    folder = build_tiny_sd(tmp_path / "model")
    context, base = _context(folder, tmp_path / "store"), load_base(folder, device="cpu")
    with (
        patch.object(module, "render", lambda *given: [None] * IMAGES),
        pytest.raises(ModelError, match="no finite image for 'a photo of a mug'"),
    ):
        class_images(context, base, context.open(), "a photo of a mug")
    assert not list(context.open().list("cache/class_images"))


def test_of_two_cohorts_that_need_them_at_once_the_second_finds_what_the_first_has_drawn(tmp_path: Path) -> None:
    folder = build_tiny_sd(tmp_path / "model")
    context = _context(folder, tmp_path / "store")
    turns, asked, render = Turns(), list[RenderRequest](), module.render
    base: Any = replace(load_base(folder, device="cpu"), lock=turns)

    def rehearse() -> list[bytes]:
        return [image.tobytes() for image in class_images(context, base, context.open(), "a photo of a mug")]

    with ThreadPoolExecutor(1) as pool:

        def noted(base: Any, requests: list[RenderRequest], *rest: Any) -> list[Any]:
            asked.extend(requests)
            if threading.get_ident() == turns.first:
                second.append(pool.submit(rehearse))
                turns.second_came.wait(SECONDS)
            return render(base, requests, *rest)

        second = list[Any]()
        with patch.object(module, "render", noted):
            assert rehearse() == second[0].result()
    assert len(asked) == IMAGES
