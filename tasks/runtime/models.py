"""Finds the models of a run on this machine: the base model, and those that stand beside it."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from catalog_schemas.errors import ModelError
from catalog_schemas.identity import content_id
from configs.schema import LoraConfig, ModelConfig, SegmenterConfig
from tasks.engine.pipeline_folder import DIFFUSERS, check_pipeline, check_weights, read_settings
from tasks.runtime.model_files import hash_file, hash_files, local_file, local_folder

_HEADER_MAXIMUM = 100_000_000  # bytes, the format's own
_FACTOR = re.compile(r"[._]lora[._](A|down)[._]")
_READS_TEXT = re.compile(r"attn2[._](processor[._])?to_[kv][._]lora[._](A|down)[._]")


@dataclass(frozen=True)
class ModelFolder:
    """A base model on this machine: its folder, its identity, and the pixels of a side it was trained for.

    `warning` is what its maker says that a viewer must know (`packshot.json` in the folder). `scorer` is the folder of
    a CLIP model for the checks, `controlnet` that of a ControlNet for edges, `segmenter` the file of a network that
    cuts out products, and `upscaler` that of one that enlarges pictures, each with its identity; each may be empty.
    `loras` are the files of what drawing adds to the model, with their weights.
    """

    path: str
    identity: str
    resolution: int
    warning: str
    scorer: str = ""
    scorer_identity: str = ""
    controlnet: str = ""
    controlnet_identity: str = ""
    segmenter: str = ""
    segmenter_identity: str = ""
    upscaler: str = ""
    upscaler_identity: str = ""
    loras: tuple[tuple[str, float], ...] = ()
    loras_identity: str = ""

    @property
    def drawing_identity(self) -> str:
        """Of the base model as it draws."""
        return f"{self.identity}+{self.loras_identity}" if self.loras else self.identity

    @property
    def identities(self) -> dict[str, str]:
        """Of everything here that decides what is made, by the setting that names it."""
        return {
            "model.source": self.identity,
            "model.scorer": self.scorer_identity,
            "model.controlnet": self.controlnet_identity,
            "model.segmenter": self.segmenter_identity,
            "model.upscaler": self.upscaler_identity,
            "model.loras": self.loras_identity,
        }


def find_model(config: ModelConfig, models: Path | None = None) -> ModelFolder:
    """The base model's folder on this machine; fetched first where the source is a store URL or a hub id.

    A local folder or a store URL is identified by the bytes of its files, a hub id by its pinned revision; a
    precision that is named is a part of both. Raises ModelError where it cannot be had.
    """
    models = models or Path.home() / ".cache" / "packshot" / "models"
    folder = local_folder(config.source, models)
    if folder is not None:
        found = _describe(folder, "", config.variant)
    else:
        from tasks.engine.hub import download_model  # the hub's client is loaded only where it is needed

        found = _describe(download_model(config), f"{config.source}@{config.revision}", config.variant)
    scorer, scorer_identity = _find_scorer(config.scorer, Path(found.path), models)
    control, control_identity = _find_controlnet(config.controlnet, Path(found.path), models)
    segmenter, segmenter_identity = _find_segmenter(config.segmenter, models) if config.segmenter else ("", "")
    upscaler, upscaler_identity = _find_upscaler(config.upscaler, Path(found.path), models)
    loras, loras_identity = _find_loras(config.loras, Path(found.path), models)
    named = "" if config.precision == "auto" else f"+{config.precision}"
    return replace(
        found,
        identity=found.identity + named,
        scorer=scorer,
        scorer_identity=scorer_identity,
        controlnet=control,
        controlnet_identity=control_identity,
        segmenter=segmenter,
        segmenter_identity=segmenter_identity,
        upscaler=upscaler,
        upscaler_identity=upscaler_identity,
        loras=loras,
        loras_identity=loras_identity,
    )


find_model_once = cache(find_model)  # for workers, who ask at each task


def _find_scorer(source: str, model: Path, models: Path) -> tuple[str, str]:
    """The CLIP model's folder and identity; both empty where none is named and the model has none of its own."""
    folder = local_folder(source, models) if source else model / "clip"
    if folder is None or not (folder / "config.json").is_file():
        if not source:
            return "", ""
        raise ModelError(
            f"{source}: expected the folder of a CLIP model with config.json, but it is none; point model.scorer at "
            "such a folder or a store URL of one"
        )
    return str(folder), f"sha256:{hash_files(folder, list(folder.iterdir()))}"


def _find_controlnet(source: str, model: Path, models: Path) -> tuple[str, str]:
    """The ControlNet's folder and identity; both empty where none is named and the model has none of its own."""
    folder = local_folder(source, models) if source else model / "controlnet"
    if folder is None:
        from tasks.engine.hub import download_controlnet

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
    return str(folder), f"sha256:{hash_files(folder, sorted(folder.iterdir()))}"


def _refuse_another_kind(controlnet: Path, model: Path) -> None:
    """Raises ModelError where the ControlNet was made for another kind of model: found before anything is trained."""
    check_weights(controlnet, DIFFUSERS)
    base, own = (read_settings(folder / "config.json") for folder in (model / "unet", controlnet))
    for name in ("in_channels", "cross_attention_dim", "addition_embed_type"):
        if own.get(name) != base.get(name):
            raise ModelError(
                f"{controlnet}: the ControlNet has {name} {own.get(name)}, but the base model's UNet has "
                f"{base.get(name)}: it was made for another model; point model.controlnet at one for this kind"
            )


def _find_segmenter(config: SegmenterConfig, models: Path) -> tuple[str, str]:
    """The network's file, fetched first from a store, and its identity."""
    file = local_file(config.source, models, "model.segmenter.source", "a network in an ONNX file")
    return str(file), content_id([hash_file(file), config.mean, config.std])


def _find_upscaler(source: str, model: Path, models: Path) -> tuple[str, str]:
    """The network's file, fetched first from a store, and its identity; it is tried before anything is trained.

    Both are empty where none is named and the model has none of its own.
    """
    file = model / "upscaler.onnx"
    if source:
        file = local_file(source, models, "model.upscaler", "a network in an ONNX file")
    elif not file.is_file():
        return "", ""
    from tasks.imaging.upscaler import load_upscaler  # onnxruntime is loaded only where it is needed

    load_upscaler(str(file)).factor  # noqa: B018
    return str(file), f"sha256:{hash_file(file)}"


def _find_loras(configs: Sequence[LoraConfig], model: Path, models: Path) -> tuple[tuple[tuple[str, float], ...], str]:
    """The LoRAs' files with their weights, fetched first from a store, and the identity of them all."""
    found = []
    for number, config in enumerate(configs):
        file = local_file(config.source, models, f"model.loras.{number}.source", "a LoRA in a safetensors file")
        _refuse_a_lora_of_another_kind(file, model)
        found.append((file, config.weight))
    identity = content_id([(hash_file(file), weight) for file, weight in found])[:16] if found else ""
    return tuple((str(file), weight) for file, weight in found), identity


def _refuse_a_lora_of_another_kind(file: Path, model: Path) -> None:
    """Raises ModelError where the file's header does not list the factors of a LoRA, or one for another base model."""
    try:
        with file.open("rb") as data:
            length = int.from_bytes(data.read(8), "little")  # the format: a length, a header in JSON, the numbers
            header = json.loads(data.read(min(length, _HEADER_MAXIMUM)))
        shapes = {name: list(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, AttributeError, TypeError, KeyError) as error:
        raise ModelError(f"{file}: expected a LoRA in a safetensors file, but its header is none: {error}") from error
    if not any(_FACTOR.search(name) for name in shapes):
        raise ModelError(f"{file}: expected a LoRA, but none of its {len(shapes)} arrays is a factor of one")
    own = read_settings(model / "unet" / "config.json")["cross_attention_dim"]
    for name, shape in shapes.items():
        if _READS_TEXT.search(name) and shape[-1] != own:
            raise ModelError(
                f"{file}: the LoRA reads texts of {shape[-1]} numbers, but the base model's UNet of {own}: it was made "
                "for another kind of model; point model.loras at ones for this kind"
            )


def _describe(folder: Path, identity: str, variant: str) -> ModelFolder:
    check_pipeline(folder, variant)
    unet, vae = (read_settings(folder / part / "config.json") for part in ("unet", "vae"))
    resolution = int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)
    card = folder / "packshot.json"
    warning = json.loads(card.read_text()).get("warning", "") if card.is_file() else ""
    named = f"+{variant}" if variant else ""
    return ModelFolder(str(folder), (identity or f"sha256:{_hash_folder(folder)}") + named, resolution, warning)


def _hash_folder(folder: Path) -> str:
    """The identity of a pipeline's parts; what else lies in the folder does not draw."""
    parts = {name for name in json.loads((folder / "model_index.json").read_text()) if not name.startswith("_")}
    files = [folder / "model_index.json", *(path for part in sorted(parts) for path in (folder / part).rglob("*"))]
    return hash_files(folder, files)
