"""Files of the Hugging Face hub, each from a pinned commit, fetched on first use and kept in the hub's own cache.

What is there is not asked for again: a night needs neither the hub nor torch to find its model.
"""

import errno
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from catalog_schemas.errors import ModelError, first_line
from configs.schema import ModelConfig
from tasks.engine.pipeline_folder import PARTS

_HASH = 40  # hex digits of a commit


def download_model(config: ModelConfig) -> Path:
    """The local folder of a hub model: the parts that are drawn with, in the weights that `variant` names.

    Raises ModelError.
    """
    if len(config.revision) != _HASH:
        raise ModelError(
            f"model.source {config.source!r}: there is no such folder, so it is taken for a hub id, for which "
            f"model.revision must pin its commit (40 hex digits), but is {config.revision!r}"
        )
    variant, several = config.variant, "*/*.*.safetensors"  # diffusion_pytorch_model.fp16.safetensors and its kin
    weights, left = (f"*.{variant}[.-]*safetensors", []) if variant else ("*.safetensors", [several])
    wanted = ["model_index.json", *(f"{part}/{name}" for part in PARTS for name in ("*.json", "*.txt", weights))]

    def fetch() -> str:
        return snapshot_download(config.source, revision=config.revision, allow_patterns=wanted, ignore_patterns=left)

    return _fetched(f"{config.source}@{config.revision}", config.source, "model.source at a folder", fetch)


def download_controlnet(source: str) -> Path:
    """The local folder of a hub ControlNet, "id@revision". Raises ModelError."""
    name, _, revision = source.partition("@")
    if len(revision) != _HASH:
        raise ModelError(
            f"model.controlnet {source!r}: expected a folder that is there, a store URL, or a hub id that pins its "
            "commit: id@revision, 40 hex digits"
        )
    wanted = ["config.json", "diffusion_pytorch_model.safetensors"]

    def fetch() -> str:
        return snapshot_download(name, revision=revision, allow_patterns=wanted)

    return _fetched(source, name, "model.controlnet at a folder", fetch)


def download_file(repository: str, revision: str, name: str, setting: str) -> Path:
    """The local copy of a hub file, which `setting` names. Raises ModelError."""

    def fetch() -> str:
        return hf_hub_download(repository, name, revision=revision)

    return _fetched(f"{repository}@{revision}/{name}", repository, f"{setting} at a file", fetch)


def _fetched(what: str, repository: str, instead: str, fetch: Callable[[], str]) -> Path:
    """What `fetch` has brought to this machine. Raises ModelError, with what to do."""
    try:
        return Path(fetch())
    except Exception as error:  # the hub client raises many kinds; each means that it cannot be had
        raise ModelError(
            f"{what} could not be fetched from the hub: {_remedy(error, repository)}, or point {instead} on this "
            "machine"
        ) from error


def _remedy(error: Exception, repository: str) -> str:
    """What went wrong, and what to do."""
    page = f"{constants.ENDPOINT}/{repository}"
    if isinstance(error, GatedRepoError):
        return f"its makers ask for your consent: give it at {page}, and set HF_TOKEN to a token of that account"
    if isinstance(error, RevisionNotFoundError):
        return f"it has no such commit; take one of {page}/commits/main"
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such repository, or a private one; check the id, and for a private one set HF_TOKEN"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full; make room in {constants.HF_HUB_CACHE}, or set HF_HOME to a folder on another disk"
    if constants.HF_HUB_OFFLINE:
        return "it is not on this machine, and HF_HUB_OFFLINE is set; unset it"
    return f"{first_line(error)}; check the network and the names"
