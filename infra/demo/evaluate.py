"""Measures the demo model for its card: `python -m infra.demo.evaluate --model DIR --run TRAINING_DIR --out DIR`.

Writes `metrics.json`, `samples.webp` and `edges.webp`. The judge is a classifier trained apart from the model (the
training run's own stage); real studio photographs of the same combinations, under the same judge, are the ceiling.
Combinations count as unseen if none of the data sets in the run's folder has them; earlier runs' may be put there, too.
"""

import argparse
import json
import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from transformers import CLIPTokenizer

from infra.demo.autoencoder import as_tensor
from infra.demo.classifier import Classifier, train_classifier
from infra.demo.closeups import boxes, closeups
from infra.demo.control import draw_over, edge_agreement, edges
from infra.demo.dataset import as_bytes, load_dataset
from infra.demo.export import load_parts, pipeline, render
from infra.demo.materials import COLOURS
from infra.demo.parts import Clip, ControlNet, Pipeline
from infra.demo.products import classes, random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import random_scene, shoot
from infra.demo.towers import tokenize

log = logging.getLogger(__name__)

GRID = (
    "a photo of a red mug on a wooden table",
    "a photo of a blue bottle, plain white background",
    "a photo of a green vase on a marble table",
    "a photo of a yellow teapot in a kitchen, kitchen background",
    "a photo of a white bowl on a linen tablecloth",
    "a photo of an orange can on the beach, sea and blue sky background",
    "a photo of a purple candle at christmas, christmas tree background",
    "a photo of a pink box on a round podium, pastel pink background",
    "a photo of a teal lamp in a living room, living room background",
    "a photo of a grey chair in a studio, plain white background",
    "a photo of a navy cushion in a bedroom, bedroom background",
    "a photo of a red clock on a wooden shelf, books in the background",
    "a photo of a mint alarm clock on a window sill, window light",
    "a photo of a yellow backpack in a garden, garden background",
    "a photo of a white sneaker on a concrete slab",
    "a photo of black headphones on a yellow backdrop, yellow background",
    "a photo of a brown watch on dark slate, dark grey background",
    "a photo of red sunglasses on the beach, ocean background",
    "a photo of a blue toy car among autumn leaves, autumn background",
    "an empty wooden table, kitchen background, soft daylight",
)
"""The card's fixed prompts."""


@dataclass(frozen=True, slots=True)
class Combination:
    """A class, colour and scene that no training photograph shows together, and its prompt."""

    noun: str
    colour: str
    scene: str
    prompt: str


def unseen_combinations(records: list[dict[str, Any]], count: int, seed: int = 77) -> list[Combination]:
    """Random combinations that are absent from the training records."""
    seen = {(r["class_noun"], r["colour"], r["scene"]) for r in records}
    rng = np.random.default_rng(seed)
    found: list[Combination] = []
    while len(found) < count:
        noun, colour, name = (str(rng.choice(list(x))) for x in (classes(), COLOURS, SCENES))
        if (noun, colour, name) in seen:
            continue
        scene = SCENES[name]
        article = "an" if colour[0] in "aeiou" else "a"
        words = f"a photo of {article} {colour} {noun} {rng.choice(scene.places)}, {rng.choice(scene.backgrounds)}"
        found.append(Combination(noun, colour, name, words))
    return found


def photographs_of(wanted: list[Combination], size: int, seed: int = 990_000) -> np.ndarray:
    """The studio's own photographs of the combinations, from seeds that training never used."""
    images = []
    for i, one in enumerate(wanted):
        spec = random_product(np.random.default_rng([seed, i]), one.noun, one.colour)
        images.append(shoot(spec, SCENES[one.scene], seed + i, size).photograph.image)
    return np.stack(images)


def graded(judge: Classifier, images: np.ndarray, wanted: list[Combination]) -> dict[str, float]:
    """Shares of pictures whose class, colour and both the judge names as wanted."""
    named = judge.name(images)
    noun = np.array([n[0] == w.noun for n, w in zip(named, wanted, strict=True)])
    colour = np.array([n[1] == w.colour for n, w in zip(named, wanted, strict=True)])
    return {"class": float(noun.mean()), "colour": float(colour.mean()), "both": float((noun & colour).mean())}


def image_features(clip: Clip, pixels: torch.Tensor) -> torch.Tensor:
    """The image tower's features (n, width) of pictures (n, 3, h, w) in [-1, 1]."""
    features: torch.Tensor = clip.visual_projection(clip.vision_model(pixels).pooler_output)
    return features


@torch.inference_mode()
def clip_ranked(
    clip: Clip, tokenizer: CLIPTokenizer, images: np.ndarray, wanted: list[Combination]
) -> dict[str, float]:
    """Shares of pictures for which the model's own CLIP ranks the right class, and the right colour, first of all."""
    parts = [as_tensor(images[i : i + 64], torch.device("cpu")) for i in range(0, len(images), 64)]
    vision = torch.cat([image_features(clip, part) for part in parts])

    def embed(texts: list[str]) -> torch.Tensor:
        text = clip.text_projection(clip.text_model(tokenize(tokenizer, texts)).pooler_output)
        return torch.nn.functional.normalize(text, dim=-1)

    nouns, colours = list(classes()), list(COLOURS)
    best = (vision @ embed([f"a photo of a {n}" for n in nouns]).T).argmax(1)
    noun = np.mean([nouns[int(b)] == w.noun for b, w in zip(best, wanted, strict=True)])
    hits = []
    for row, one in zip(vision, wanted, strict=True):
        choice = embed([f"a photo of a {c} {one.noun}" for c in colours]) @ row
        hits.append(colours[int(choice.argmax())] == one.colour)
    return {"class": float(noun), "colour": float(np.mean(hits))}


@torch.inference_mode()
def told_apart(clip: Clip, size: int, count: int = 200, seed: int = 880_000) -> float:
    """The share of unseen products whose close-up is nearest, of all products' in other scenes, to its own."""
    rng, views = np.random.default_rng(seed), []
    for number in range(count):
        spec = random_product(rng)
        views.append([shoot(spec, random_scene(rng), seed + 2 * number + i, size).photograph for i in (0, 1)])
    features = []
    for photographs in zip(*views, strict=True):
        masks = np.stack([as_bytes(one.mask) for one in photographs])
        pixels = closeups(np.stack([one.image for one in photographs]), masks, boxes(masks), rng)
        features.append(torch.nn.functional.normalize(image_features(clip, pixels), dim=-1))
    return float(((features[0] @ features[1].T).argmax(1) == torch.arange(count)).float().mean())


@torch.inference_mode()
def decoded(pipe: Pipeline, images: np.ndarray) -> np.ndarray:
    """Photographs (n, h, w, 3) uint8 after the VAE."""
    made = []
    for at in range(0, len(images), 32):
        latents = pipe.vae.encode(as_tensor(images[at : at + 32], torch.device("cpu"))).latent_dist.mode()
        made.append(pipe.vae.decode(latents).sample.clamp(-1, 1))
    return ((torch.cat(made).permute(0, 2, 3, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


def reconstruction(pipe: Pipeline, images: np.ndarray) -> dict[str, float]:
    """Mean PSNR in dB and SSIM of the VAE's reconstructions of photographs."""
    back = decoded(pipe, images)
    error = ((back.astype(float) - images) ** 2).mean((1, 2, 3))
    similar = [structural_similarity(a, b, channel_axis=-1) for a, b in zip(images, back, strict=True)]
    return {"psnr": float((10 * np.log10(255**2 / error)).mean()), "ssim": float(np.mean(similar))}


def draw(pipe: Pipeline, prompts: list[str], steps: int, guidance: float, seed: int = 0) -> np.ndarray:
    """Pictures of all prompts, in batches."""
    parts = []
    for at in range(0, len(prompts), 20):
        some = prompts[at : at + 20]
        parts.append(render(pipe, some, list(range(seed + at, seed + at + len(some))), steps, guidance))
    return np.concatenate(parts)


def controlled(
    pipe: Pipeline, control: ControlNet, images: np.ndarray, prompts: list[str], sheet: Path
) -> dict[str, float]:
    """How well edges are kept (`edge_agreement`) by pictures drawn along a photograph's edges, by those drawn without
    them, and by the photograph after the VAE, which is the most that can be had. Writes the first ones as a sheet."""
    drawings = edges(images)
    made = draw_over(pipe, control, prompts, drawings)
    shown = [one[:10] for one in (images, np.repeat(drawings[..., None], 3, -1), made)]
    save_grid(np.concatenate(shown), sheet, columns=10)
    free = draw(pipe, prompts, 10, 4.0)
    found = {"with_edges": made, "without": free, "vae": decoded(pipe, images)}
    return {name: edge_agreement(drawings, pictures) for name, pictures in found.items()}


def save_grid(images: np.ndarray, path: Path, columns: int = 5) -> None:
    """Write pictures as one sheet."""
    rows = [np.concatenate(list(images[i : i + columns]), 1) for i in range(0, len(images), columns)]
    Image.fromarray(np.concatenate(rows)).save(path, quality=88, method=6)


def evaluate(model: Path, run: Path, out: Path, prompts: int, steps: int, guidance: float) -> dict[str, Any]:
    """Measure everything and write `metrics.json`, `samples.webp` and `edges.webp` into `out`."""
    parts = load_parts(model)
    pipe, clip = pipeline(parts.vae, parts.tokenizer, parts.painter), parts.clip
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    out.mkdir(parents=True, exist_ok=True)
    save_grid(draw(pipe, list(GRID), steps, guidance), out / "samples.webp")
    shown = [load_dataset(home) for home in sorted((run / "data").glob("shots-*"))]
    judge = train_classifier(shown[-1][0], shown[-1][2], run, 0.0, 0, torch.device("cpu"))
    wanted = unseen_combinations([record for _, _, records in shown for record in records], prompts)
    real = photographs_of(wanted, size)
    start = time.monotonic()
    made = draw(pipe, [w.prompt for w in wanted], steps, guidance, seed=5000)
    seconds = (time.monotonic() - start) / prompts
    metrics = {
        "settings": {"prompts": prompts, "steps": steps, "guidance": guidance, "seconds_per_image": seconds},
        "judge_on_samples": graded(judge, made, wanted),
        "judge_on_photographs": graded(judge, real, wanted),
        "clip_on_samples": clip_ranked(clip, pipe.tokenizer, made, wanted),
        "clip_on_photographs": clip_ranked(clip, pipe.tokenizer, real, wanted),
        "clip_tells_products_apart": told_apart(clip, size),
        "vae": reconstruction(pipe, real[:200]),
        "edges": controlled(pipe, parts.control, real[:100], [w.prompt for w in wanted[:100]], out / "edges.webp"),
        "first_combinations": [asdict(w) for w in wanted[:3]],
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    log.info("%s", json.dumps(metrics, indent=1))
    return metrics


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and evaluate."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="python -m infra.demo.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=here / "model")
    parser.add_argument("--run", type=Path, required=True, help="the training run's folder")
    parser.add_argument("--out", type=Path, default=here / "evaluation")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--guidance", type=float, default=4.0)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    evaluate(args.model, args.run, args.out, args.prompts, args.steps, args.guidance)


if __name__ == "__main__":
    main()
