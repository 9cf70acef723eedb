"""Trains the demo model's CLIP: a text and an image tower that agree on what a photograph shows."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from infra.demo.autoencoder import as_tensor
from infra.demo.closeups import boxes, closeups
from infra.demo.parts import Clip
from infra.demo.progress import Journal, autocast, load_state, save_state
from infra.demo.recipes import Recipe
from infra.demo.tokens import MAX_LENGTH

log = logging.getLogger(__name__)

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
FACTS = ("class_noun", "colour", "scene")
FACT_WEIGHTS = (2.0, 1.5, 0.5)  # a scene fills the picture and needs no help
TEMPERATURE = 0.1  # of close-ups that look for each other


def new_clip(recipe: Recipe, tokenizer: CLIPTokenizer) -> Clip:
    """An untrained CLIP of the recipe's size for the tokenizer's vocabulary."""
    width, layers = recipe.clip_width, recipe.clip_layers
    shared: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": width * 4,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
    }
    marks: dict[str, Any] = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), max_position_embeddings=MAX_LENGTH, projection_dim=128,
        pad_token_id=tokenizer.pad_token_id, **shared, **marks,
    )  # fmt: skip
    vision = CLIPVisionConfig(image_size=recipe.size, patch_size=16, projection_dim=128, **shared)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=128))


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Token ids (n, MAX_LENGTH), padded and cut as the diffusion pipeline does."""
    batch = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    return batch["input_ids"]


def trimmed(ids: Tensor) -> Tensor:
    """Token ids (n, length) without the padding that all have: what comes after its end changes no text's features."""
    return ids[:, : int((ids != ids[0, -1]).sum(1).max()) + 1] if len(ids) else ids


@dataclass(frozen=True, slots=True)
class Captioned:
    """Photographs and masks with tokenized captions (n, k, MAX_LENGTH) and the facts they show as class indices (n, 3).

    `short` (n, MAX_LENGTH) names the product alone. `boxes` (n, 4) say where it is, and each of `products` lists the
    photographs that show one product, if there are several.
    """

    images: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    tokens: Tensor
    short: Tensor
    facts: Tensor
    names: tuple[tuple[str, ...], ...]
    products: tuple[tuple[int, ...], ...]


def caption_tokens(tokenizer: CLIPTokenizer, records: list[dict[str, Any]]) -> Tensor:
    """Every photograph's captions as int16 token ids (n, k, MAX_LENGTH)."""
    texts = [caption for record in records for caption in record["captions"]]
    distinct = sorted(set(texts))
    ids = tokenize(tokenizer, distinct).to(torch.int16)
    where = {text: row for row, text in enumerate(distinct)}
    return ids[torch.tensor([where[text] for text in texts])].reshape(len(records), -1, MAX_LENGTH)


def captioned(
    images: np.ndarray, masks: np.ndarray, records: list[dict[str, Any]], tokenizer: CLIPTokenizer
) -> Captioned:
    """Tokenize the captions, number the facts, and find the products."""
    tokens = caption_tokens(tokenizer, records)
    names = tuple(tuple(sorted({r[f] for r in records})) for f in FACTS)
    facts = torch.tensor([[names[j].index(r[f]) for j, f in enumerate(FACTS)] for r in records])
    alone = [f"a photo of a {r['colour']} {r['class_noun']}" if r["class_noun"] else "an empty scene" for r in records]
    found, shown = boxes(masks), dict[int, list[int]]()
    for row, record in enumerate(records):
        if record["class_noun"] and found[row].any():
            shown.setdefault(record["product"], []).append(row)
    products = tuple(tuple(rows) for rows in shown.values() if len(rows) > 1)
    return Captioned(
        images, masks, found, tokens, tokenize(tokenizer, alone).to(torch.int16), facts, names, products
    )  # fmt: skip


class _Heads(nn.Module):
    """Auxiliary classifiers on both towers' embeddings, which teach small towers far sooner than pairs alone."""

    def __init__(self, names: tuple[tuple[str, ...], ...], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(n)) for n in names)

    def forward(self, pooled: Tensor, facts: Tensor) -> Tensor:
        """Weighted loss over the first facts, those that `facts` (n, 1 to 3) has."""
        some = zip(self.heads, FACT_WEIGHTS, facts.unbind(1), strict=False)
        return torch.stack([weight * F.cross_entropy(head(pooled), fact) for head, weight, fact in some]).mean()


def train_clip(
    data: Captioned,
    tokenizer: CLIPTokenizer,
    recipe: Recipe,
    out: Path,
    minutes: float,
    seed: int,
    device: torch.device,
) -> Clip:
    """Train (or go on training) both towers for `minutes` on photographs and their captions."""
    torch.manual_seed(seed + 1)
    clip = new_clip(recipe, tokenizer).to(device)
    heads = _Heads(data.names, recipe.clip_width).to(device)
    both = [*clip.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(both, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.02)
    parts = {"model": clip, "heads": heads, "optimizer": optimizer}
    journal = Journal(out / "log.csv", "clip", minutes)
    journal.resume(load_state(out / "clip.pt", parts, device))
    rng = np.random.default_rng([seed, journal.step, 2])
    saved = time.monotonic()
    while not journal.over():
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * journal.rate(warm=60)
        loss = _clip_loss(clip, heads, _batch(data, recipe.clip_batch, rng, device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss)
        if time.monotonic() - saved > 120:
            save_state(out / "clip.pt", parts, journal)
            saved = time.monotonic()
    save_state(out / "clip.pt", parts, journal)
    return clip.eval()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Photographs (n, 3, size, size) with captions and short ones, then two close-ups of each of some products."""

    pixels: Tensor
    captions: Tensor
    short: Tensor
    facts: Tensor


def _batch(data: Captioned, count: int, rng: np.random.Generator, device: torch.device) -> _Batch:
    """Half photographs, half close-ups; the first views of all products stand before the second views."""
    whole = rng.integers(0, len(data.images), count // 2)
    few = [data.products[i] for i in rng.choice(len(data.products), min(count // 4, len(data.products)), replace=False)]
    near = np.array([rng.choice(rows, 2, replace=False) for rows in few]).T.reshape(-1)
    rows = torch.from_numpy(np.concatenate([whole, near]))
    which = torch.from_numpy(rng.integers(0, data.tokens.shape[1], len(whole)))
    taken = closeups(data.images[near], data.masks[near], data.boxes[near], rng, device)
    return _Batch(
        torch.cat([as_tensor(data.images[whole], device), taken]),
        data.tokens[whole, which].long().to(device),
        data.short[rows].long().to(device),
        data.facts[rows].to(device),
    )


def _clip_loss(clip: Clip, heads: nn.Module, batch: _Batch) -> Tensor:
    """Photographs find their captions and their products' names, close-ups their names and each other.

    Pairs as in CLIP (Radford et al. 2021), where equal texts count as one (Yang et al. 2022, UniCL); the two close-ups
    of a product as in SimCLR (Chen et al. 2020). Both towers also name the facts.
    """
    count = len(batch.captions)
    whole, near = slice(count), slice(count, None)
    with autocast(batch.pixels.device):
        vision = clip.vision_model(pixel_values=batch.pixels).pooler_output
        words = torch.cat(
            [clip.text_model(input_ids=trimmed(ids)).pooler_output for ids in (batch.captions, batch.short)]
        )
        seen = F.normalize(clip.visual_projection(vision).float(), dim=-1)
        said = F.normalize(clip.text_projection(words).float(), dim=-1)
        helped = heads(vision[whole], batch.facts[whole]) + heads(vision[near], batch.facts[near, :2])
        helped = helped + 0.5 * heads(words[whole], batch.facts[whole])
    scale = clip.logit_scale.clamp(max=4.6).exp()
    captions, short = said[whole], said[near]
    pairs = [
        _contrast(scale * captions @ seen[whole].T, batch.captions),
        _contrast(scale * short[whole] @ seen[whole].T, batch.short[whole]),
        _contrast(scale * short[near] @ seen[near].T, batch.short[near]),
    ]
    first, second = seen[near].chunk(2)
    same = _contrast(first @ second.T / TEMPERATURE, torch.arange(len(first), device=seen.device)[:, None])
    return torch.stack(pairs).mean() + same + helped.float()


def _contrast(logits: Tensor, keys: Tensor) -> Tensor:
    """Each row should find the columns that have its key (n, k), and each column its rows."""
    same = (keys[:, None] == keys[None]).all(-1).float()
    wanted = same / same.sum(1, keepdim=True)  # symmetric keys: columns want what rows want
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2
