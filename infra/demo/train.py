"""Trains the whole demo model from the studio: `python -m infra.demo.train --out DIR --budget MINUTES --recipe cpu`.

Stages: data set, VAE, CLIP, classifier, decoder, UNet, ControlNet, export. Each keeps a checkpoint in DIR and goes on
from it, so a killed run continues where it was; a finished stage is skipped. The budget counts training alone; the data
set comes on top. The model folder is written to DIR/model, the log to DIR/log.csv.

With `--begin MODEL`, the UNet, its text tower and the ControlNet go on from those of a model folder, with fresh
optimizers; its other parts stay as they are. Another `--seed` then shows them photographs that they have not seen.
"""

import argparse
import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPTokenizer

from infra.demo.autoencoder import encode_all, refine_decoder, train_vae
from infra.demo.classifier import Classifier, train_classifier
from infra.demo.control import edges, new_controlnet, train_controlnet
from infra.demo.dataset import SHARD, load_dataset, write_dataset
from infra.demo.denoiser import Latents, Painter, emphasis, new_unet, train_unet
from infra.demo.export import Parts, export, load_parts, pipeline, render, text_model, whiten
from infra.demo.parts import Vae
from infra.demo.recipes import RECIPES, Recipe
from infra.demo.tokens import build_tokenizer
from infra.demo.towers import caption_tokens, captioned, tokenize, train_clip

log = logging.getLogger(__name__)

LOOK = (
    "a photo of a red mug on a wooden table",
    "a photo of a blue teapot, plain white background",
    "a photo of a yellow backpack in a garden",
    "a photo of a green vase on a marble table",
    "a photo of an orange lamp in a living room",
    "a photo of a white sneaker on the beach",
    "a photo of a pink alarm clock at christmas, christmas tree background",
    "an empty wooden table, kitchen background",
)
"""Prompts whose pictures are kept at every checkpoint of the UNet."""

LATENTS = "latents.pt"


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: where it lies, its recipe, budget in minutes, seed and device."""

    out: Path
    recipe: Recipe
    budget: float
    seed: int
    device: torch.device
    begin: Path | None = None

    def minutes(self, stage: str) -> float:
        """The budget of one stage, out of those that this run has."""
        return self.recipe.minutes(stage, self.budget, later=self.begin is not None)


def main(arguments: list[str] | None = None) -> Path:
    """Train everything and return the folder of the exported model."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=180.0, help="minutes of training")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=Path, metavar="MODEL", help="go on from the weights of this folder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    device = torch.device(args.device)
    return train(Run(args.out, RECIPES[args.recipe], args.budget, args.seed, device, args.begin))


def train(run: Run) -> Path:
    """Run all stages and return the folder of the exported model."""
    run.out.mkdir(parents=True, exist_ok=True)
    home = write_dataset(run.out / "data", run.recipe.photographs, run.seed, run.recipe.size, run.recipe.workers)
    images, masks, records = load_dataset(home, run.recipe.photographs)
    drawings = drawing_stage(run, images)  # by other processes, so before a GPU is at work in this one
    grade(run, images, records)
    if run.begin:
        model = load_parts(run.begin)
        whitened = latents(run, model.vae.to(run.device), images)
    else:
        model, whitened = first_stages(run, images, masks, records)
    data = what_to_paint(model.tokenizer, whitened, masks, records, run.device)
    painter = unet_stage(run, model, data)
    torch.manual_seed(run.seed + 5)
    minutes = run.minutes("controlnet")
    begin = model.control or new_controlnet(painter.unet)
    control = train_controlnet(data, drawings, painter, begin, run.recipe, run.out, minutes, run.seed, run.device)
    folder = run.out / "model"
    export(replace(model, painter=painter, control=control), folder)
    log.info("the model is ready in %s", folder)
    return folder


def first_stages(
    run: Run, images: np.ndarray, masks: np.ndarray, records: list[dict[str, Any]]
) -> tuple[Parts, Tensor]:
    """VAE and CLIP, a UNet that has learned nothing, and the whitened latents that it is to learn from."""
    recipe, out, seed, device = run.recipe, run.out, run.seed, run.device
    tokenizer = build_tokenizer(out / "tokenizer")
    # Once the UNet learns on cached latents, a longer budget must not move the encoder under it.
    vae_minutes = 0.0 if (out / LATENTS).exists() else run.minutes("vae")
    vae = train_vae(images, recipe, out, vae_minutes, seed, device)
    data = captioned(images, masks, records, tokenizer)
    clip = train_clip(data, tokenizer, recipe, out, run.minutes("clip"), seed, device)
    means = latents(run, vae, images)
    refine_decoder(vae, images, means[: len(images)], recipe, out, run.minutes("decoder"), seed, device)
    whitened = whiten(vae.cpu(), means)
    torch.manual_seed(seed + 2)
    return Parts(vae.to(device), clip, tokenizer, Painter(new_unet(recipe), text_model(clip))), whitened


def grade(run: Run, images: np.ndarray, records: list[dict[str, Any]]) -> Classifier:
    """The classifier's stage."""
    return train_classifier(images, records, run.out, run.minutes("classifier"), run.seed, run.device)


def latents(run: Run, vae: Vae, images: np.ndarray) -> Tensor:
    """Latent means of every photograph, then of every mirrored one (cached in the run's folder)."""
    path = run.out / LATENTS
    if not path.exists():
        both = [encode_all(vae, shown, run.device, run.recipe.threads) for shown in (images, images[:, :, ::-1])]
        torch.save(torch.cat(both), path)
    return torch.load(path, weights_only=True)


def what_to_paint(
    tokenizer: CLIPTokenizer, whitened: Tensor, masks: np.ndarray, records: list[dict[str, Any]], device: torch.device
) -> Latents:
    """What the UNet learns from: photographs, then mirrored ones, with the same captions."""
    tokens, nothing = caption_tokens(tokenizer, records), tokenize(tokenizer, [""])[0]
    weight = emphasis(masks, masks.shape[-1] // whitened.shape[-1])
    parts = whitened.half(), tokens.repeat(2, 1, 1), nothing, torch.cat([weight, weight.flip(-1)])
    return Latents(*(part.to(device) for part in parts))


def drawing_stage(run: Run, images: np.ndarray) -> np.ndarray:
    """The edges of every photograph, then mirrored, found once by several processes (cached in the run's folder)."""
    path = run.out / "edges.npy"
    if not path.exists():
        with ProcessPoolExecutor(run.recipe.workers) as pool:
            np.save(path, np.concatenate(list(pool.map(edges, np.array_split(images, -(-len(images) // SHARD))))))
    found = np.load(path)
    return np.concatenate([found, found[:, :, ::-1]])


def unet_stage(run: Run, model: Parts, data: Latents) -> Painter:
    """Train the UNet, keeping pictures of the `LOOK` prompts at every checkpoint."""
    number = len(list(run.out.glob("look-*.png")))

    def look(painter: Painter) -> None:
        nonlocal number
        pipe = pipeline(model.vae, model.tokenizer, painter)
        images = render(pipe, list(LOOK), list(range(len(LOOK))), steps=10)
        Image.fromarray(np.concatenate(list(images), axis=1)).save(run.out / f"look-{number:03d}.png")
        number += 1

    minutes = run.minutes("unet")
    return train_unet(data, model.painter, run.recipe, run.out, minutes, run.seed, run.device, look)


if __name__ == "__main__":
    main()
