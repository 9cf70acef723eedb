"""Likeness of images, and agreement of images and texts, by a CLIP model (Radford et al. 2021, arXiv:2103.00020)."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from transformers import CLIPModel, CLIPTokenizer

from catalog_schemas.errors import ModelError, first_line

Rgb = NDArray[np.uint8]
Features = NDArray[np.float32]
_loaded: dict[str, "Scorer"] = {}
_loading = threading.Lock()


class Scorer:
    """A CLIP model in evaluation: unit features whose dot product is the cosine similarity. Safe to share."""

    def __init__(self, folder: Path) -> None:
        self.model: Any = CLIPModel.from_pretrained(folder, use_safetensors=True, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        prepared = json.loads((folder / "preprocessor_config.json").read_text())
        self.mean = torch.tensor(prepared["image_mean"])[:, None, None]
        self.deviation = torch.tensor(prepared["image_std"])[:, None, None]
        self.lock = threading.Lock()

    @torch.inference_mode()
    def images(self, pictures: list[Rgb]) -> Features:
        """Features (n, width) of uint8 images (height, width, 3) of any size; a picture is squeezed to a square."""
        side = int(self.model.config.vision_config.image_size)
        pixels = torch.stack([_square(picture, side) for picture in pictures])
        with self.lock:
            tower = self.model.vision_model(pixel_values=(pixels - self.mean) / self.deviation)
            return _unit(self.model.visual_projection(tower.pooler_output))

    @torch.inference_mode()
    def texts(self, texts: list[str]) -> Features:
        """Features (n, width) of texts; what is beyond the model's length is cut."""
        length = int(self.model.config.text_config.max_position_embeddings)
        tokens = self.tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        with self.lock:
            tower = self.model.text_model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
            return _unit(self.model.text_projection(tower.pooler_output))


def load_scorer(folder: Path) -> Scorer:
    """The CLIP model in a local folder, loaded once per process; ModelError where it cannot be."""
    key = str(folder.resolve())
    with _loading:
        if key not in _loaded:
            try:
                _loaded[key] = Scorer(folder)
            except (OSError, ValueError, KeyError) as error:
                what = f"expected a CLIP model with its tokenizer: {first_line(error)}"
                raise ModelError(f"{folder}: {what}") from error
        return _loaded[key]


def _square(picture: Rgb, side: int) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(picture, order="C")).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(pixels, (side, side), mode="bicubic", antialias=True)[0].clamp(0, 1)


def _unit(features: torch.Tensor) -> Features:
    return np.asarray(F.normalize(features.float(), dim=-1).numpy(), dtype=np.float32)
