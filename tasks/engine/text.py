"""Prompts to embeddings with gradient: for adapters that change the text encoders, or that learn words of their own.

Where a prompt has the SKU's word, learned rows take the place of the word's token embedding (Textual Inversion, Gal et
al. 2022, arXiv:2208.01618); several rows make several tokens. The ids underneath stay ordinary ones, since CLIP finds
the end of a text by its highest id, and ids past the vocabulary would move it.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning
from tasks.engine.transfer import to_device


@dataclass(frozen=True)
class Tokens:
    """A prompt for each text encoder: `ids` (1, length), and `learned` (1, length), the number of the learned token
    that stands there, or -1."""

    ids: tuple[Tensor, ...]
    learned: tuple[Tensor, ...]


def tokenize(base: BaseModel, prompt: str, word: str = "", count: int = 0) -> Tokens:
    """The prompt's tokens; each occurrence of `word` becomes `count` learned ones. Over-long prompts are cut."""
    both = [_with_learned(tokenizer, prompt, word, count) for tokenizer in _tokenizers(base)]
    return Tokens(tuple(ids for ids, _ in both), tuple(learned for _, learned in both))


def encode(base: BaseModel, bank: AdapterBank, prompts: list[Tokens]) -> Conditioning:
    """The embeddings that the pipeline's own encoder gives, row after row, with the adapters that are routed to."""
    ids, learned = (
        [to_device(torch.cat(rows), base.device) for rows in zip(*parts, strict=True)]
        for parts in ([prompt.ids for prompt in prompts], [prompt.learned for prompt in prompts])
    )
    with bank.reading(learned):
        outputs = [
            encoder(rows, output_hidden_states=True)
            for encoder, rows in zip(base.text_encoders.values(), ids, strict=True)
        ]
    if base.family == "sd":
        return Conditioning(outputs[0][0], None)
    return Conditioning(torch.cat([output.hidden_states[-2] for output in outputs], -1), outputs[-1][0])


def first_rows(base: BaseModel, noun: str, count: int) -> list[Tensor]:
    """What a SKU's tokens begin as, (count, width) per text encoder: the embedding of the noun's last token."""
    rows = []
    for encoder, tokenizer in zip(base.text_encoders.values(), _tokenizers(base), strict=True):
        last = tokenizer(noun, add_special_tokens=False).input_ids[-1]
        rows.append(encoder.get_input_embeddings().weight[last].detach().expand(count, -1))
    return rows


def _tokenizers(base: BaseModel) -> list[Any]:
    return [base.pipeline.tokenizer] + ([base.pipeline.tokenizer_2] if base.family == "sdxl" else [])


def _with_learned(tokenizer: Any, prompt: str, word: str, count: int) -> tuple[Tensor, Tensor]:
    length = tokenizer.model_max_length
    pieces = re.split(rf"\b{re.escape(word)}\b", prompt) if count else [prompt]
    stand_in = tokenizer(word, add_special_tokens=False).input_ids[:1] if count else []
    ids, learned = [tokenizer.bos_token_id], [-1]
    for number, piece in enumerate(pieces):
        if number:
            ids += stand_in * count
            learned += range(count)
        plain = tokenizer(piece, add_special_tokens=False).input_ids
        ids += plain
        learned += [-1] * len(plain)
    ids, learned = [*ids[: length - 1], tokenizer.eos_token_id], [*learned[: length - 1], -1]
    rest = length - len(ids)
    return torch.tensor([ids + [tokenizer.pad_token_id] * rest]), torch.tensor([learned + [-1] * rest])
