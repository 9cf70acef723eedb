"""A shop in a folder: photos, catalog, configuration and store, and the flow run on them."""

import csv
import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import Artifact
from safetensors.torch import load

from catalog_schemas.plan import Plan
from flows.parameters import RefreshParameters
from flows.pipeline import RunOutcome
from flows.refresh_catalog import refresh_catalog
from flows.start import start_run
from tasks.plan import make_plan
from tasks.storage.keys import is_unfinished
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables
from tests.configs_tiny import write_tiny_config
from tests.drawn_products import NOUNS, product_row, write_catalog, write_photos

CHUNK = 12  # images of one task run: each costs Prefect and its server more than the tiny model
# Differ between two runs that did the same work.
OWN_TO_A_RUN = {"run_id", "created_at", "updated_at", "retired_at", "seconds", "started_at", "finished_at"}


@dataclass
class Shop:
    """`store` is a folder below `folder` unless a URL is given; `changes` are sections of the tiny configuration."""

    folder: Path
    model: Path
    store: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    changes: dict[str, Any] = field(default_factory=dict)
    limit: int = 0

    def __post_init__(self) -> None:
        self.store = self.store or str(self.folder / "store")

    def add(self, sku: str, product: int, photos: int = 3, **fields: Any) -> None:
        """A product with its photos."""
        listed = write_photos(self.folder / f"photos-{product}", product, photos)
        self.rows.append(product_row(sku, **({"class_noun": NOUNS[product % len(NOUNS)]} | listed | fields)))

    def copy(self, folder: Path) -> "Shop":
        """The same shop elsewhere, its store included."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder, store="", rows=[dict(row) for row in self.rows], changes=dict(self.changes))

    def parameters(self) -> RefreshParameters:
        """Writes catalog and configuration as they are now."""
        catalog = write_catalog(self.folder / "catalog.parquet", self.rows)
        compute = {"chunk_size": CHUNK} | self.changes.get("compute", {})
        config = write_tiny_config(self.folder / "config.yaml", self.model, **self.changes | {"compute": compute})
        return RefreshParameters(catalog=str(catalog), store=self.store, preset=str(config), limit=self.limit)

    def run(self) -> RunOutcome:
        """The nightly flow, in this process."""
        return refresh_catalog(self.parameters())

    def plan(self) -> Plan:
        """What it would do."""
        asked = self.parameters()
        return make_plan(start_run(asked), asked.products)

    def command(self, verb: str = "run") -> list[str]:
        """The same as a command."""
        asked = self.parameters()
        line = [verb, asked.catalog, "--store", asked.store, "--config", asked.preset, "--json"]
        return [sys.executable, "-m", "flows.commands.command_line", *line]

    @property
    def objects(self) -> ObjectStore:
        """The store."""
        return ObjectStore(self.store)

    @property
    def tables(self) -> Tables:
        """The store's tables."""
        return Tables(self.objects)

    def table(self, name: str) -> list[dict[str, Any]]:
        """A table's rows."""
        return self.tables.read(name).to_pylist()

    def live(self) -> list[dict[str, Any]]:
        """The images that nothing has replaced."""
        return self.tables.live_images().to_pylist()

    def reasons(self) -> list[tuple[str, str]]:
        """SKU and reason of every refusal, in order."""
        return sorted((row["sku"], row["reason"]) for row in self.table("rejections"))

    def keys(self, prefix: str) -> list[str]:
        """The store's keys below a folder."""
        return [info.key for info in self.objects.list(prefix)]


def artifacts_of(flow_run: UUID) -> list[Artifact]:
    """What the run shows on its page in the UI."""
    with get_client(sync_client=True) as client:
        return client.read_artifacts(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))


def comparable(shop: Shop, name: str) -> list[dict[str, Any]]:
    """A table without what two runs of the same work differ in, in one order."""
    rows = [{key: value for key, value in row.items() if key not in OWN_TO_A_RUN} for row in shop.table(name)]
    return sorted(rows, key=lambda row: str(row))


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder with the hash of its bytes; folders too."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def assert_sound(shop: Shop) -> None:
    """What holds for every store at rest, whatever happened before."""
    images = shop.table("images")
    ids = [row["image_id"] for row in images]
    assert len(ids) == len(set(ids)), "no image twice"
    live = [row for row in images if row["retired_at"] is None]
    slots = [row["slot"] for row in live]
    assert len(slots) == len(set(slots)), "one live image per slot"
    for row in live:
        assert hashlib.sha256(shop.objects.read(row["key"])).hexdigest() == row["sha256"], row["key"]
    for row in shop.tables.live_adapters().to_pylist():
        assert hashlib.sha256(shop.objects.read(row["key"])).hexdigest() == row["sha256"], row["key"]
    for row in shop.table("runs"):
        assert_adds_up(row)


def assert_whole(store: Path) -> None:
    """No file under a final name is a part of one; what a killed writer was writing has a name that nobody reads."""
    read: dict[str, Callable[[Path], object]] = {
        ".json": lambda path: json.loads(path.read_text()),
        ".parquet": pq.read_table,
        ".safetensors": lambda path: load(path.read_bytes()),
        ".png": lambda path: Image.open(path).load(),
        ".webp": lambda path: Image.open(path).load(),
        ".csv": lambda path: next(csv.reader(path.read_text("utf-8-sig").splitlines())),
        ".html": lambda path: path.read_text().rindex("</html>"),
    }
    files = [path for path in store.rglob("*") if path.is_file() and not is_unfinished(path.name)]
    assert files
    for path in files:
        if "_delta_log" in path.parts:
            assert [json.loads(line) for line in path.read_text().splitlines()]
        else:
            read[path.suffix](path)


def assert_adds_up(run: dict[str, Any]) -> None:
    """Everything that went in came out somewhere."""
    out = ("skus_published", "skus_quarantined", "skus_failed", "skus_skipped")
    assert run["skus_input"] == sum(run[name] for name in out), run
    made = ("images_published", "images_rejected", "images_failed")
    assert run["images_planned"] == sum(run[name] for name in made), run
