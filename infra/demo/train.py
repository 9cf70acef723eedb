"""Trains the whole demo model from the studio: `python -m infra.demo.train --out DIR --budget MINUTES --recipe cpu`.

Stages: data set, VAE, CLIP, classifier, decoder, UNet, ControlNet, export. Each keeps a checkpoint in DIR and goes on
from it, so a killed run continues where it was; a finished stage is skipped. The budget counts training alone; the data
set comes on top. The model folder is written to DIR/model, the log to DIR/log.csv.
"""

import argparse
import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import CLIPTokenizer

from infra.demo.autoencoder import encode_all, refine_decoder, train_vae
from infra.demo.classifier import Classifier, train_classifier
from infra.demo.control import edges, train_controlnet
from infra.demo.dataset import SHARD, load_dataset, write_dataset
from infra.demo.denoiser import Latents, Painter, train_unet
from infra.demo.export import export, pipeline, render, text_model, whiten
from infra.demo.parts import Clip, Vae
from infra.demo.recipes import RECIPES, Recipe
from infra.demo.tokens import build_tokenizer
from infra.demo.towers import Captioned, captioned, tokenize, train_clip

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


@dataclass(frozen=True, slots=True)
class Run:
    """One training run: where it lies, its recipe, budget in minutes, seed and device."""

    out: Path
    recipe: Recipe
    budget: float
    seed: int
    device: torch.device

    def minutes(self, stage: str) -> float:
        """The budget of one stage."""
        return self.recipe.minutes(stage, self.budget)


def main(arguments: list[str] | None = None) -> Path:
    """Train everything and return the folder of the exported model."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=180.0, help="minutes of training")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return train(Run(args.out, RECIPES[args.recipe], args.budget, args.seed, torch.device(args.device)))


def train(run: Run) -> Path:
    """Run all stages and return the folder of the exported model."""
    run.out.mkdir(parents=True, exist_ok=True)
    home = write_dataset(run.out / "data", run.recipe.photographs, run.seed, run.recipe.size, run.recipe.workers)
    images, masks, records = load_dataset(home, run.recipe.photographs)
    tokenizer = build_tokenizer(run.out / "tokenizer")
    data = captioned(images, masks, records, tokenizer)
    # Once the UNet learns on cached latents, a longer budget must not move the encoder under it.
    vae_minutes = 0.0 if (run.out / "latents.pt").exists() else run.minutes("vae")
    vae = train_vae(images, run.recipe, run.out, vae_minutes, run.seed, run.device)
    clip = train_clip(data, tokenizer, run.recipe, run.out, run.minutes("clip"), run.seed, run.device)
    grade(run, images, records)
    latents = latent_stage(run, vae, data, tokenizer)
    painter = unet_stage(run, vae, clip, tokenizer, latents)
    minutes, drawings = run.minutes("controlnet"), drawing_stage(run, images)
    control = train_controlnet(latents, drawings, painter, run.recipe, run.out, minutes, run.seed, run.device)
    folder = run.out / "model"
    export(vae.cpu(), clip.cpu(), tokenizer, painter.cpu(), control.cpu(), folder)
    log.info("the model is ready in %s", folder)
    return folder


def grade(run: Run, images: np.ndarray, records: list[dict[str, object]]) -> Classifier:
    """The classifier's stage."""
    return train_classifier(images, records, run.out, run.minutes("classifier"), run.seed, run.device)


def latent_stage(run: Run, vae: Vae, data: Captioned, tokenizer: CLIPTokenizer) -> Latents:
    """Encode every photograph once (cached in the run's folder), refine the decoder, and whiten the VAE to match."""
    path = run.out / "latents.pt"
    if not path.exists():
        torch.save(encode_all(vae, data.images, run.device, run.recipe.threads), path)
    means = torch.load(path, weights_only=True).float()
    refine_decoder(vae, data.images, means, run.recipe, run.out, run.minutes("decoder"), run.seed, run.device)
    whiten(vae.cpu(), means)
    vae.to(run.device)
    centre, spread = means.mean((0, 2, 3), keepdim=True), means.std((0, 2, 3))[None, :, None, None]
    return Latents(((means - centre) / spread).half(), data.tokens, tokenize(tokenizer, [""])[0])


def drawing_stage(run: Run, images: np.ndarray) -> np.ndarray:
    """The edges of every photograph, found once by several processes (cached in the run's folder)."""
    path = run.out / "edges.npy"
    if not path.exists():
        with ProcessPoolExecutor(run.recipe.workers) as pool:
            np.save(path, np.concatenate(list(pool.map(edges, np.array_split(images, -(-len(images) // SHARD))))))
    return np.load(path)


def unet_stage(run: Run, vae: Vae, clip: Clip, tokenizer: CLIPTokenizer, latents: Latents) -> Painter:
    """Train the UNet, keeping pictures of the `LOOK` prompts at every checkpoint."""
    number = len(list(run.out.glob("look-*.png")))

    def look(painter: Painter) -> None:
        nonlocal number
        pipe = pipeline(vae, tokenizer, painter)
        images = render(pipe, list(LOOK), list(range(len(LOOK))), steps=10)
        Image.fromarray(np.concatenate(list(images), axis=1)).save(run.out / f"look-{number:03d}.png")
        number += 1

    text = text_model(clip).to(run.device)
    minutes = run.minutes("unet")
    return train_unet(latents, text, run.recipe, run.out, minutes, run.seed, run.device, look)


if __name__ == "__main__":
    main()
