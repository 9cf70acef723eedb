"""A catalog with something bad in it between two good products, judged by the stages that a run judges it with."""

import hashlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from catalog_schemas.plan import Plan, SkuJob
from catalog_schemas.reference import Reference
from catalog_schemas.rejection import Reason, Rejection
from configs.library import Library, load_library
from configs.schema import RunConfig
from tasks.plan import plan_run
from tasks.planning.rows import Selection
from tasks.prepare_references import prepare_references
from tasks.runtime.context import RunContext
from tasks.runtime.models import ModelFolder
from tasks.storage.keys import safe_name
from tasks.storage.table_rows import rows_of
from tests.configs_tiny import tiny_config
from tests.drawn_products import product_row, write_catalog, write_photos

BAD = "bad"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
SECONDS, MEBIBYTES = 30, 400  # limits, far above what is needed: a bomb takes hundreds of times as much


@dataclass(frozen=True)
class Fate:
    """What a run makes of a SKU, up to training: equal for equal photos wherever they lie."""

    photos: tuple[str, ...]
    variants: tuple[str, ...]
    prepared: tuple[tuple[str, int, int, str, str, str], ...]


@dataclass(frozen=True)
class Judged:
    """What the first two stages of a run recorded."""

    context: RunContext
    plan: Plan
    references: tuple[Reference, ...]
    rejections: tuple[Rejection, ...]

    def job(self, sku: str) -> SkuJob | None:
        return next((job for job in self.plan.jobs if job.product.sku == sku), None)

    def verdicts(self, sku: str) -> list[tuple[str, Reason]]:
        return [(one.stage, one.reason) for one in self.rejections if one.sku == sku]

    def details(self, sku: str) -> str:
        return "\n".join(one.detail for one in self.rejections if one.sku == sku)

    def fate(self, sku: str) -> Fate:
        job, store = self.job(sku), self.context.open()
        assert job, f"{sku} is not planned"
        mine = [one for one in self.references if one.sku == sku]
        prepared = [
            (one.id, one.width, one.height, one.mask_source, *(_digest(store.read(key)) for key in _keys(one)))
            for one in mine
        ]
        variants = tuple(planned.spec.id for planned in job.variants)
        return Fate(tuple(photo.id for photo in job.photos), variants, tuple(prepared))


class QuickContext(RunContext):
    """Reads the library of scenes and channels once for all nights."""

    def library(self) -> Library:
        return shipped_library()


shipped_library = cache(load_library)


@dataclass
class Night:
    """`rows` lie between the good ones in the catalog; photos are paths relative to `folder`."""

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    catalog: dict[str, Any] = field(default_factory=dict)

    def good(self) -> list[dict[str, Any]]:
        return [product_row(f"good-{n}", **write_photos(self.folder / f"photos-good-{n}", n, count=2)) for n in (1, 2)]

    def add(self, sku: Any = BAD, **fields: Any) -> None:
        """A product with two photos and their masks, except where `fields` say something else.

        Where they say which photos and no masks, the photos have an alpha channel: no product is to be cut out.
        """
        alpha = "references" in fields and "masks" not in fields
        listed = write_photos(self.folder / "photos-bad", 3, count=2, masks=not alpha, alpha=alpha)
        self.rows.append(product_row(sku, []) | listed | fields)

    def context(self) -> RunContext:
        config = RunConfig.model_validate(
            tiny_config(Path("tiny"), catalog=self.catalog, variants={"limit_per_sku": 2})
        )
        catalog, store = self.folder / "catalog.parquet", self.folder.parent / "store"
        return QuickContext("run", str(catalog), str(store), config, ModelFolder("", "tiny", 64, ""), NOW)

    def judge(self) -> Judged:
        """Plans and prepares within bounds of memory and time."""
        first, last = self.good()
        write_catalog(self.folder / "catalog.parquet", [first, *self.rows, last])
        return self.judge_file()

    def judge_file(self, context: RunContext | None = None) -> Judged:
        """The same with the catalog file as it lies there."""
        context = context or self.context()
        with bounded():
            plan = plan_run.fn(context, Selection())
            prepared = prepare_references.fn(context, list(plan.jobs))
        rejections = (*plan.rejections, *prepared.rejections)
        assert len(rows_of("rejections", rejections)) == len(rejections), "each fits its table"
        assert all("\n" not in one.detail for one in rejections)
        return Judged(context, plan, prepared.records, rejections)


@contextmanager
def bounded(seconds: int = SECONDS, mebibytes: int = MEBIBYTES) -> Iterator[None]:
    """Fails where the block takes longer, or more memory at its peak than there was before."""

    def stop(*_: object) -> None:
        raise AssertionError(f"still at work after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    start = _peak(reset=True)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    grown = (_peak() - start) / 1024
    assert grown < mebibytes, f"{grown:.0f} MiB at the peak"


def assert_names_stay_inside(skus: list[str]) -> None:
    """SKUs become one part of a key each, short enough for any file system, and no two the same."""
    names = [safe_name(sku) for sku in skus]
    assert len(set(names)) == len(skus)
    for name in names:
        assert name.isascii()
        assert 0 < len(name) <= 255
        assert "/" not in name
        assert not name.startswith(".")


def _peak(reset: bool = False) -> int:
    """KiB of memory at the peak; Linux can forget earlier peaks."""
    clear, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not clear.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if reset:
        clear.write_text("5")
    return int(status.read_text().partition("VmHWM:")[2].split()[0])


def _keys(reference: Reference) -> tuple[str, str]:
    return reference.image_key, reference.mask_key


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
