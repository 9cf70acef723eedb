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

from infra.demo.parts import Clip
from infra.demo.progress import Journal, autocast, load_state, save_state
from infra.demo.recipes import Recipe
from infra.demo.tokens import MAX_LENGTH

log = logging.getLogger(__name__)

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
FACTS = ("class_noun", "colour", "scene")
FACT_WEIGHTS = (2.0, 1.5, 0.5)  # a scene fills the picture and needs no help


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


@dataclass(frozen=True, slots=True)
class Captioned:
    """Photographs with their tokenized captions (n, k, MAX_LENGTH) and the facts they show as class indices (n, 3).

    `short` (n, MAX_LENGTH) names the product alone, so that the towers cannot live on scenes.
    """

    images: np.ndarray
    tokens: Tensor
    short: Tensor
    facts: Tensor
    names: tuple[tuple[str, ...], ...]


def captioned(images: np.ndarray, records: list[dict[str, Any]], tokenizer: CLIPTokenizer) -> Captioned:
    """Tokenize every caption once and number the facts."""
    each = len(records[0]["captions"])
    texts = [c for r in records for c in r["captions"]]
    distinct = sorted(set(texts))
    ids = tokenize(tokenizer, distinct).to(torch.int16)
    where = {t: i for i, t in enumerate(distinct)}
    tokens = ids[torch.tensor([where[t] for t in texts])].reshape(len(records), each, MAX_LENGTH)
    names = tuple(tuple(sorted({r[f] for r in records})) for f in FACTS)
    facts = torch.tensor([[names[j].index(r[f]) for j, f in enumerate(FACTS)] for r in records])
    alone = [f"a photo of a {r['colour']} {r['class_noun']}" if r["class_noun"] else "an empty scene" for r in records]
    return Captioned(images, tokens, tokenize(tokenizer, alone).to(torch.int16), facts, names)


class _Heads(nn.Module):
    """Auxiliary classifiers on both towers' embeddings, which teach small towers far sooner than pairs alone."""

    def __init__(self, names: tuple[tuple[str, ...], ...], width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(n)) for n in names)

    def forward(self, pooled: Tensor, facts: Tensor, known: Tensor | None = None) -> Tensor:
        losses = [
            w * F.cross_entropy(h(pooled), facts[:, i])
            for i, (h, w) in enumerate(zip(self.heads, FACT_WEIGHTS, strict=True))
        ]
        return torch.stack(losses).mean()


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
        rows = rng.integers(0, len(data.images), recipe.clip_batch)
        loss = _clip_loss(clip, heads, data, rows, rng, device)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        journal.note(loss.item())
        if time.monotonic() - saved > 120:
            save_state(out / "clip.pt", parts, journal)
            saved = time.monotonic()
    save_state(out / "clip.pt", parts, journal)
    return clip.eval()


def _clip_loss(
    clip: Clip, heads: nn.Module, data: Captioned, rows: np.ndarray, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Contrastive loss over one batch plus the facts' classification from either tower."""
    picks = torch.from_numpy(rows)
    which = torch.from_numpy(rng.integers(0, data.tokens.shape[1], len(rows)))
    ids = data.tokens[picks, which].long().to(device)
    pixels = torch.from_numpy(data.images[rows]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    with autocast(device):
        vision = clip.vision_model(pixel_values=pixels).pooler_output
        text = clip.text_model(input_ids=ids).pooler_output
        image_embedding = F.normalize(clip.visual_projection(vision).float(), dim=-1)
        text_embedding = F.normalize(clip.text_projection(text).float(), dim=-1)
        short = clip.text_model(input_ids=data.short[picks].long().to(device)).pooler_output
        short_embedding = F.normalize(clip.text_projection(short).float(), dim=-1)
        facts = data.facts[picks].to(device)
        helped = heads(vision, facts) + 0.5 * heads(text, facts)
    scale = clip.logit_scale.clamp(max=4.6).exp()
    pairs = [_contrast(scale * t @ image_embedding.T) for t in (text_embedding, short_embedding)]
    return torch.stack(pairs).mean() + helped.float()


def _contrast(logits: Tensor) -> Tensor:
    """Each row should find its own column among all, and each column its row."""
    same = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2
