"""Models of the hub: what is fetched of them, what is not asked for again, and what is told when they cannot be had."""

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from catalog_schemas.errors import ModelError
from configs.schema import ModelConfig
from tasks.engine import hub
from tests.servers.web import WebServer, web_server

COMMIT = "0123456789abcdef" * 2 + "01234567"
NEEDED = (
    "model_index.json",
    *(f"{part}/config.json" for part in ("unet", "vae", "text_encoder")),
    *("tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json"),
)
PLAIN = ("unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors")
HALF = tuple(name.replace(".safetensors", ".fp16.safetensors") for name in PLAIN)
OTHERS = (
    *("v1-5-pruned.safetensors", "README.md", "unet/diffusion_pytorch_model.bin", "feature_extractor/config.json"),
    *("unet/diffusion_pytorch_model.non_ema.safetensors", "safety_checker/model.safetensors"),
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A hub with one repository, someone/model, and nothing of it on this machine."""
    with web_server() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        template = running.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        files = [*NEEDED, *PLAIN, *HALF, *OTHERS]
        tree = [{"type": "file", "path": name, "size": 2, "oid": f"{number:040x}"} for number, name in enumerate(files)]
        running.pages[_tree()] = (200, {"Content-Type": "application/json"}, json.dumps(tree).encode())
        for number, name in enumerate(files):
            headers = {"ETag": f'"{number:040x}"', "X-Repo-Commit": COMMIT}
            running.pages[f"/someone/model/resolve/{COMMIT}/{name}"] = (200, headers, b"{}")
        yield running


def _tree(repository: str = "someone/model") -> str:
    return f"/api/models/{repository}/tree/{COMMIT}?recursive=true&expand=false"


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("variant", "weights"), [("", PLAIN), ("fp16", HALF)])
def test_what_is_drawn_with_is_fetched_once_and_the_hub_is_not_asked_again(
    site: WebServer, variant: str, weights: tuple[str, ...]
) -> None:
    config = ModelConfig(source="someone/model", revision=COMMIT, variant=variant)
    folder = hub.download_model(config)
    assert _files(folder) == {*NEEDED, *weights}
    site.down = True
    asked = sum(site.asked.values())
    assert hub.download_model(config) == folder
    assert sum(site.asked.values()) == asked


def test_torch_is_not_loaded_to_ask_it() -> None:
    """A night with nothing to do looks for its model, too."""
    heavy = "{'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    loads = f"import sys, tasks.engine.hub; sys.exit(' '.join({heavy}) or 0)"
    subprocess.run([sys.executable, "-c", loads], check=True, timeout=300)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("GatedRepo", "its makers ask for your consent: give it at .*/someone/other, and set HF_TOKEN"),
        ("RevisionNotFound", "it has no such commit; take one of .*/someone/other/commits/main"),
        ("RepoNotFound", "there is no such repository, or a private one; check the id"),
    ],
)
def test_why_a_model_cannot_be_had_is_told(site: WebServer, code: str, says: str) -> None:
    status = 403 if code == "GatedRepo" else 404
    site.pages[_tree("someone/other")] = (status, {"X-Error-Code": code}, b"{}")
    with pytest.raises(ModelError, match=f"someone/other@{COMMIT} could not be fetched from the hub: {says}"):
        hub.download_model(ModelConfig(source="someone/other", revision=COMMIT))


def test_a_hub_that_is_not_to_be_asked_is_told(site: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="it is not on this machine, and HF_HUB_OFFLINE is set; unset it, or point"):
        hub.download_model(ModelConfig(source="someone/model", revision=COMMIT))
    assert not site.asked


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; make room in .*hub, or set HF_HOME"),
        (
            ConnectionError("refused\nby 127.0.0.1"),
            "refused; check the network and the names, or point model.source at",
        ),
    ],
)
def test_a_full_disk_and_a_broken_connection_are_told(
    site: WebServer, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(hub, "snapshot_download", fails)
    with pytest.raises(ModelError, match=says):
        hub.download_model(ModelConfig(source="someone/model", revision=COMMIT))


@pytest.mark.parametrize("revision", ["", "main", "451f4fe"])
def test_a_hub_model_needs_its_pinned_commit(revision: str) -> None:
    with pytest.raises(ModelError, match=r"'someone/model': there is no such folder, so .* hub id, .*40 hex digits"):
        hub.download_model(ModelConfig(source="someone/model", revision=revision))
