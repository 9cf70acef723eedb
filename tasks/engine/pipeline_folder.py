"""The folder of a diffusers pipeline, looked at before anything is loaded or trained; it costs no torch."""

import json
from pathlib import Path
from typing import Any, Literal

from catalog_schemas.errors import ModelError

Family = Literal["sd", "sdxl"]
FAMILIES: dict[str, Family] = {"StableDiffusionPipeline": "sd", "StableDiffusionXLPipeline": "sdxl"}
DIFFUSERS = "diffusion_pytorch_model"  # what that library calls a file of weights
_WEIGHTS = {"unet": DIFFUSERS, "vae": DIFFUSERS, "text_encoder": "model", "text_encoder_2": "model"}
_WORDS = ("tokenizer", "tokenizer_2")
PARTS = (*_WEIGHTS, *_WORDS, "scheduler")  # what is drawn with; a safety checker is not


def check_pipeline(folder: Path, variant: str = "") -> Family:
    """The family of the pipeline in a folder. Raises ModelError where it is none, another one, or lacks a part.

    Without a tokenizer diffusers loads an empty one, to which all letters are the same.
    """
    index = folder / "model_index.json"
    if not index.is_file():
        raise ModelError(
            f"{folder}: expected a diffusers pipeline folder with model_index.json, found none; point model.source at "
            "such a folder, a store URL of one, or a hub id with model.revision. A checkpoint in one file "
            "(.safetensors, .ckpt) is made such a folder as docs/training.md#the-base-model shows"
        )
    name = read_settings(index).get("_class_name")
    if name not in FAMILIES:
        raise ModelError(
            f"{folder}: expected a text-to-image model of Stable Diffusion 1.x, 2.x or XL, one of "
            f"{', '.join(FAMILIES)}, but model_index.json says {name!r}"
        )
    family = FAMILIES[name]
    for part in PARTS:
        if family == "sdxl" or not part.endswith("_2"):
            _check_part(folder / part, variant)
    return family


def _check_part(part: Path, variant: str) -> None:
    if part.name in _WORDS:
        fast, slow = part / "tokenizer.json", (part / "vocab.json", part / "merges.txt")
        if not fast.is_file() and not all(file.is_file() for file in slow):
            raise ModelError(f"{part}: expected a tokenizer's vocab.json and merges.txt, found none")
    elif part.name in _WEIGHTS:
        read_settings(part / "config.json")
        check_weights(part, _WEIGHTS[part.name], variant)
    else:
        read_settings(part / "scheduler_config.json")


def check_weights(folder: Path, name: str, variant: str = "") -> None:
    """Raises ModelError where the folder has no safetensors file of that name and variant, nor the index of several."""
    stem, index = (f"{name}.{variant}", f"index.{variant}") if variant else (name, "index")
    if not (folder / f"{stem}.safetensors").is_file() and not (folder / f"{name}.safetensors.{index}.json").is_file():
        others = sorted(path.name for path in folder.glob("*model*.*") if path.suffix != ".json")
        raise ModelError(
            f"{folder}: expected weights in {stem}.safetensors, found {', '.join(others) or 'none'}; model.variant "
            "names a base model's other safetensors, and pickled weights (.bin) are never read: save them as "
            "safetensors (docs/training.md)"
        )


def read_settings(file: Path) -> dict[str, Any]:
    """The settings in a model's JSON file. Raises ModelError where there are none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")).items())
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(f"{file}: expected a model's settings in JSON, found none: {error}") from error
