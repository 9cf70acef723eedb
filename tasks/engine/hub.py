"""Files of the Hugging Face hub, each from a pinned commit, fetched on first use and kept in the hub's own cache."""

from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download

from catalog_schemas.errors import ModelError, first_line


def download_controlnet(source: str) -> Path:
    """The local folder of a hub ControlNet, "id@revision". Raises ModelError."""
    name, _, revision = source.partition("@")
    if len(revision) != 40:
        raise ModelError(
            f"model.controlnet {source!r}: expected a folder that is there, a store URL, or a hub id that pins its "
            "commit: id@revision, 40 hex digits"
        )
    try:
        wanted = ["config.json", "diffusion_pytorch_model.safetensors"]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except Exception as error:  # the hub client raises many kinds; each means that the model cannot be had
        raise ModelError(
            f"{source}: the ControlNet could not be fetched from the hub: {first_line(error)}. Check the network and "
            "the id, or point model.controlnet at a local folder."
        ) from error


def download_file(repository: str, revision: str, name: str, setting: str) -> Path:
    """The local copy of a hub file, which `setting` names. Raises ModelError."""
    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # the hub client raises many kinds; each means that the file cannot be had
        raise ModelError(
            f"{repository}@{revision}/{name}: the file could not be fetched from the hub: {first_line(error)}. Check "
            f"the network and the names, or point {setting} at a local file."
        ) from error
