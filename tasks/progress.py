"""How long work shows itself: a bar on a terminal, a Prefect progress artifact in the UI, a log line elsewhere."""

import logging
import sys
import time
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext
from tqdm import tqdm

EVERY_SECONDS = 5.0  # between two updates of the artifact or two log lines
logger = logging.getLogger(__name__)


class Progress:
    """Progress of one task run; use as a context manager and call `update(done, total)`."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.bar: tqdm | None = None
        self.artifact: UUID | None = None
        self.shown_at = time.monotonic()

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self.bar = tqdm(desc=self.what, leave=False, dynamic_ncols=True)
        if TaskRunContext.get():
            self.artifact = cast(UUID, create_progress_artifact(progress=0.0, description=self.what))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()
        if self.artifact is not None and kind is None:
            update_progress_artifact(self.artifact, progress=100.0)

    def update(self, done: int, total: int) -> None:
        """`done` of `total` units are finished."""
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(done - self.bar.n)
        if time.monotonic() - self.shown_at < EVERY_SECONDS:
            return
        self.shown_at = time.monotonic()
        if self.artifact is not None:
            update_progress_artifact(self.artifact, progress=100.0 * done / total)
        if self.bar is None:
            logger.info("%s: %d of %d", self.what, done, total)
