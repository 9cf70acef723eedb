"""What every stage of a run knows: who it is, what it was told, and which base model it works with."""

import hashlib
import json
import platform
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Literal

from catalog_schemas.errors import ModelError, StoreError
from catalog_schemas.identity import content_id
from configs.library import Library, load_library
from configs.schema import ModelConfig, RunConfig
from tasks.storage.objects import ObjectStore, open_store

REMOTE = ("s3://", "gs://", "abfs://")
SHARED = "use a bucket's URL, or a folder that all machines share"


@dataclass(frozen=True)
class ModelFolder:
    """A base model on this machine: its folder, its identity, and the pixels of a side it was trained for.

    `warning` is what its maker says that a viewer must know (`packshot.json` in the folder). `scorer` is the folder of
    a CLIP model for the checks, `controlnet` that of a ControlNet for edges with its identity, or empty.
    """

    path: str
    identity: str
    resolution: int
    warning: str
    scorer: str = ""
    controlnet: str = ""
    controlnet_identity: str = ""


@dataclass(frozen=True)
class RunContext:
    """Passed to every stage; small and plain, so that it travels to any worker. `origin`: see `ImageRecord`.

    `machine` is where the run began.
    """

    run_id: str
    catalog: str
    store: str
    config: RunConfig
    model: ModelFolder
    started_at: datetime
    origin: Literal["catalog", "request"] = "catalog"
    machine: str = field(default_factory=platform.node)

    def open(self) -> ObjectStore:
        """The store of this run."""
        return open_store(self.store, self.config.store.single_writer)

    def arrived(self) -> "RunContext":
        """The run on the machine where this is called, which need not be the one where it began: with the model there.

        Raises StoreError where the store or the catalog is another one there, or none, and ModelError for the model.
        """
        here = platform.node()
        if here == self.machine:
            return self
        if not self.open().exists(config_key(self.run_id)):
            raise StoreError(f"{self.store} on {here} is not the store that the run writes on {self.machine}: {SHARED}")
        if "://" not in self.catalog and not Path(self.catalog).exists():
            raise StoreError(f"{self.catalog} is not on {here}, but the run reads it on {self.machine}: {SHARED}")
        model = _found(self.config.model)
        if (model.identity, model.controlnet_identity) != (self.model.identity, self.model.controlnet_identity):
            raise ModelError(
                f"{model.path} on {here} is {model.identity}, but {self.model.identity} on {self.machine}: give all "
                "machines the same model, or name it by a store URL or a hub id in model.source"
            )
        return replace(self, model=model, machine=here)

    def library(self) -> Library:
        """The scenes, backgrounds, colours and channels that this run can name."""
        return load_library(*self.config.library)

    @property
    def resolution(self) -> int:
        """Pixels of a side in training and drafts."""
        return self.config.model.resolution or self.model.resolution


def new_run_id(now: datetime | None = None) -> str:
    """A name that sorts by time and that two runs do not share."""
    moment = now or datetime.now(UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{content_id(moment.isoformat())[:6]}"


def config_key(run_id: str) -> str:
    """Where a run writes what it was told, before anything else."""
    return f"runs/{run_id}/config.json"


def find_model(config: ModelConfig, models: Path | None = None) -> ModelFolder:
    """The base model's folder on this machine; fetched first where the source is a store URL or a hub id.

    A local folder or a store URL is identified by the bytes of its files, a hub id by its pinned revision.
    Raises ModelError where it cannot be had.
    """
    models = models or Path.home() / ".cache" / "packshot" / "models"
    folder = _local(config.source, models)
    if folder is not None:
        found = _describe(folder, "")
    else:
        from tasks.engine.base_model import download  # torch is loaded only where a hub model is asked for

        found = _describe(download(config), f"{config.source}@{config.revision}")
    control = _find_controlnet(config.controlnet, Path(found.path), models)
    return replace(found, scorer=config.scorer or found.scorer, controlnet=control[0], controlnet_identity=control[1])


_found = cache(find_model)


def _find_controlnet(source: str, model: Path, models: Path) -> tuple[str, str]:
    """The ControlNet's folder and identity; both empty where none is named and the model has none of its own."""
    folder = _local(source, models) if source else model / "controlnet"
    if folder is None:
        from tasks.engine.base_model import download_controlnet

        folder = download_controlnet(source)
        _refuse_another_kind(folder, model)
        return str(folder), source
    if not source and not folder.is_dir():
        return "", ""
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: expected a diffusers ControlNet folder with config.json, but it is not one; point "
            "model.controlnet at such a folder, a store URL of one, or a hub id and its commit (id@revision)"
        )
    _refuse_another_kind(folder, model)
    return str(folder), f"sha256:{_hash_files(folder, sorted(folder.iterdir()))}"


def _refuse_another_kind(controlnet: Path, model: Path) -> None:
    """Raises ModelError where the ControlNet was made for another kind of model: found before anything is trained."""
    base = json.loads((model / "unet" / "config.json").read_text())
    try:
        own = dict(json.loads((controlnet / "config.json").read_text()).items())
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"{controlnet / 'config.json'}: expected the description of a ControlNet, but it is not one: {error}"
        ) from error
    for name in ("in_channels", "cross_attention_dim", "addition_embed_type"):
        if own.get(name) != base.get(name):
            raise ModelError(
                f"{controlnet}: the ControlNet has {name} {own.get(name)}, but the base model's UNet has "
                f"{base.get(name)}: it was made for another model; point model.controlnet at one for this kind"
            )


def _local(source: str, models: Path) -> Path | None:
    """The folder on this machine that `source` names, fetched first from a store; None where it is a hub id."""
    if source.startswith(REMOTE):
        return _fetch(source, models)
    folder = Path(source.removeprefix("file://")).expanduser()
    if folder.is_dir() or folder.is_absolute() or source.startswith(("file://", ".", "infra/")):
        return _installed(folder)
    return None


def _installed(folder: Path) -> Path:
    """The folder as given, or beside the installed package: presets name the demo model that way."""
    beside = Path(__file__).parent.parent / folder
    return beside if not folder.exists() and beside.exists() else folder


def _fetch(source: str, models: Path) -> Path:
    """A store's model folder, copied here once; a copy that was cut off never takes the final name."""
    target = models / content_id(source)[:16]
    if not target.is_dir():
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models) as folder:
            open_store(source, single_writer=True).fetch_folder("", Path(folder) / "model")
            (Path(folder) / "model").rename(target)
    return target


def _describe(folder: Path, identity: str) -> ModelFolder:
    unet, vae = folder / "unet" / "config.json", folder / "vae" / "config.json"
    if not (folder / "model_index.json").is_file() or not unet.is_file() or not vae.is_file():
        raise ModelError(
            f"{folder}: expected a diffusers pipeline folder with model_index.json, unet/ and vae/, but it is not one; "
            "point model.source at such a folder, a store URL of one, or a hub id with model.revision"
        )
    scale = 2 ** (len(json.loads(vae.read_text())["block_out_channels"]) - 1)
    resolution = int(json.loads(unet.read_text())["sample_size"]) * scale
    card = folder / "packshot.json"
    warning = json.loads(card.read_text()).get("warning", "") if card.is_file() else ""
    scorer = str(folder / "clip") if (folder / "clip" / "config.json").is_file() else ""
    return ModelFolder(str(folder), identity or f"sha256:{_hash_folder(folder)}", resolution, warning, scorer)


def _hash_folder(folder: Path) -> str:
    """The identity of a pipeline's parts; what else lies in the folder does not draw."""
    parts = {name for name in json.loads((folder / "model_index.json").read_text()) if not name.startswith("_")}
    files = [folder / "model_index.json", *(path for part in sorted(parts) for path in (folder / part).rglob("*"))]
    return _hash_files(folder, files)


def _hash_files(folder: Path, files: list[Path]) -> str:
    kept = sorted(path for path in files if path.suffix in (".safetensors", ".json", ".txt"))
    return content_id([[path.relative_to(folder).as_posix(), _hash_file(path)] for path in kept])


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
