"""The adapter bank: the LoRA weights of many SKUs, stacked, on one frozen UNet.

Every target Linear gets `A[slots, rank, in]` and `B[slots, out, rank]`, and every target convolution the same with its
kernel's height and width in A. A batch is made of equal groups of rows, one group per slot, and each group sees its own
slot's `B · A` (Hu et al. 2021, arXiv:2106.09685) on top of the frozen weight. One matrix product per factor serves all
slots, so a step of many SKUs launches as many kernels as a step of one, and no row ever sees another slot's weights: a
SKU's gradients are those it would have had alone.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from catalog_schemas.errors import ModelError
from tasks.engine.banked import BankedConv, BankedEmbedding, BankedLinear, Route
from tasks.engine.lora_file import LoraWeights, text_name

TARGETS = {
    "attention": ("to_q", "to_k", "to_v", "to_out.0"),
    "feed_forward": ("ff.net.0.proj", "ff.net.2"),
    # what kohya's sd-scripts call `conv_dim`: everything in residual blocks, and the steps from size to size
    "convolution": (
        "conv1",
        "conv2",
        "conv_shortcut",
        "time_emb_proj",
        "downsamplers.0.conv",
        "upsamplers.0.conv",
    ),
}
TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class TextPart:
    """What the bank changes of the text encoders, by their names in LoRA files: their Linears where `lora`, and
    `tokens` learned tokens."""

    encoders: dict[str, nn.Module]
    lora: bool
    tokens: int


@dataclass(frozen=True)
class _Part:
    """One module that the bank stands in for; `name` is how LoRA files call it."""

    name: str
    root: nn.Module
    path: str
    module: nn.Linear | nn.Conv2d | nn.Embedding
    shapes: tuple[tuple[int, ...], ...]


class AdapterBank:
    """Slots for adapters on the Linears and convolutions of a UNet; a context manager, which restores it at its end.

    All weights of a slot lie in one row of `weights` (slots, parameters per slot), and all gradients in one row of
    `gradients`: a norm, an optimizer step, a snapshot or a new tenant is one operation on rows. With `text` it stands
    in the text encoders too.
    """

    def __init__(
        self,
        unet: nn.Module,
        slots: int,
        rank: int,
        targets: tuple[str, ...] = ("attention",),
        text: TextPart | None = None,
    ) -> None:
        suffixes = tuple(suffix for target in targets for suffix in TARGETS[target])
        if any(getattr(module, "fused_projections", False) for module in unet.modules()):
            raise ModelError("the UNet's attention projections are fused, which bypasses adapters; unfuse them first")
        self.slots = slots
        self.rank = rank
        self.parts = _layers("", unet, suffixes, rank)
        assert self.parts or not targets, f"the UNet has no layer whose name ends in {suffixes}"
        for name, encoder in text.encoders.items() if text else ():
            assert text is not None
            self.parts += _layers(f"{name}_", encoder, TEXT_TARGETS, rank) if text.lora else []
            self.parts += _embeddings(name, encoder, text.tokens)
        first = next(unet.parameters())
        dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
        per_slot = sum(math.prod(shape) for part in self.parts for shape in part.shapes)
        self.weights = torch.zeros(slots, per_slot, dtype=dtype, device=first.device)
        self.gradients = torch.zeros_like(self.weights)
        self.route = Route(torch.ones(slots, dtype=dtype, device=first.device))
        self.trains_text = text is not None

    @property
    def names(self) -> list[str]:
        """The Linears and convolutions, as LoRA files call them."""
        return [part.name for part in self.parts if not isinstance(part.module, nn.Embedding)]

    def __enter__(self) -> Self:
        number = 0
        for part, factors in zip(self.parts, self._factors(), strict=True):
            if isinstance(part.module, nn.Linear):
                _swap(part, BankedLinear(part.module, self.route, *factors))
            elif isinstance(part.module, nn.Conv2d):
                _swap(part, BankedConv(part.module, self.route, *factors))
            else:
                _swap(part, BankedEmbedding(part.module, self.route, number, *factors))
                number += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self.parts:
            _swap(part, part.module)

    @contextmanager
    def routed(self, index: Tensor | None) -> Iterator[None]:
        """Rows of the passes inside belong to the slots in `index` (group after group); None means all slots."""
        self.route.index = index
        try:
            yield
        finally:
            self.route.index = None

    @contextmanager
    def reading(self, learned: list[Tensor]) -> Iterator[None]:
        """The prompts of the passes inside have learned tokens at these places."""
        self.route.learned = learned
        try:
            yield
        finally:
            self.route.learned = []

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Passes inside see the plain base model."""
        self.route.off = True
        try:
            yield
        finally:
            self.route.off = False

    def initialise(self, slot: int, generator: torch.Generator, tokens: Sequence[Tensor] = ()) -> None:
        """A fresh adapter: A uniform as nn.Linear's own start, B zero, so that it begins as the base model.

        Learned tokens begin as `tokens`, (count, width) per text encoder.
        """
        remaining = iter(tokens)
        for part, factors in self._views(self.weights[slot]):
            if not isinstance(part.module, nn.Embedding):
                a, b = factors
                bound = 1 / math.sqrt(math.prod(a.shape[1:]))
                a.copy_(torch.empty(a.shape, dtype=a.dtype).uniform_(-bound, bound, generator=generator))
                b.zero_()
            else:
                factors[0].copy_(next(remaining))

    def load(self, slot: int, lora: LoraWeights) -> None:
        """Puts saved weights into a slot; a lower rank is padded with zeros, which change nothing.

        Modules that the adapter does not change stay the base model's. Raises ValueError where it changes others than
        the bank's, or its rank is above the bank's.
        """
        odd = sorted(set(lora.modules) - set(self.names))
        if odd:
            raise ValueError(f"the adapter changes {len(odd)} modules that the bank lacks, the first: {odd[0]}")
        if lora.rank > self.rank:
            raise ValueError(f"the adapter's rank {lora.rank} is above the bank's rank {self.rank}")
        self.weights[slot].zero_()
        for part, factors in self._views(self.weights[slot]):
            if part.name in lora.modules:
                down, up = lora.modules[part.name]
                factors[0][: lora.rank].copy_(down)
                factors[1][:, : lora.rank].copy_(up)
            elif part.name in lora.tokens:
                rows = lora.tokens[part.name]
                factors[0][: len(rows)].copy_(rows)
        self.route.scale[slot] = lora.alpha / lora.rank

    def warm_start(self, slot: int, lora: LoraWeights, scale: float) -> None:
        """Begins a slot, already initialised, as a saved adapter does, under the bank's own `scale`.

        Ranks above the adapter's stay fresh: they begin without effect, and learn.
        """
        for part, factors in self._views(self.weights[slot]):
            if part.name in lora.modules:
                down, up = lora.modules[part.name]
                factors[0][: lora.rank].copy_(down[: self.rank])
                factors[1][:, : lora.rank].copy_(up[:, : self.rank] * (lora.alpha / lora.rank / scale))

    def clear(self, slot: int) -> None:
        """An empty slot renders as the base model."""
        self.weights[slot].zero_()

    def save(self, slot: int, rank: int, alpha: float, word: str = "") -> LoraWeights:
        """A copy of a slot's weights on the CPU, cut to `rank`; `word` is what the learned tokens stand for."""
        modules, tokens = {}, {}
        for part, factors in self._views(self.weights[slot]):
            if not isinstance(part.module, nn.Embedding):
                a, b = factors
                modules[part.name] = a[:rank].cpu().clone(), b[:, :rank].cpu().contiguous().clone()
            else:
                tokens[part.name] = factors[0].cpu().clone()
        return LoraWeights(modules, rank, alpha, tokens, word if tokens else "")

    def groups(self, tokens: float) -> tuple[tuple[slice, float], ...]:
        """A row's parameters in runs, each with its factor on the learning rate: `tokens` for those of learned tokens,
        1 for all others."""
        runs, start = [], 0
        for learned, parts in groupby(self.parts, lambda part: isinstance(part.module, nn.Embedding)):
            end = start + sum(math.prod(shape) for part in parts for shape in part.shapes)
            runs.append((slice(start, end), tokens if learned else 1.0))
            start = end
        return tuple(runs)

    def _factors(self) -> Iterator[list[nn.Parameter]]:
        """One leaf per factor whose data and gradient are windows on the stacked rows."""
        for (_, values), (_, gradients) in zip(self._views(self.weights), self._views(self.gradients), strict=True):
            leaves = [nn.Parameter(value) for value in values]
            for leaf, gradient in zip(leaves, gradients, strict=True):
                leaf.grad = gradient
            yield leaves

    def _views(self, rows: Tensor) -> Iterator[tuple[_Part, list[Tensor]]]:
        """The factors of every part as windows on `rows` (…, parameters per slot)."""
        start = 0
        for part in self.parts:
            windows = []
            for shape in part.shapes:
                windows.append(rows[..., start : start + math.prod(shape)].unflatten(-1, shape))
                start += math.prod(shape)
            yield part, windows


def _layers(prefix: str, root: nn.Module, suffixes: tuple[str, ...], rank: int) -> list[_Part]:
    parts = []
    for path, module in root.named_modules():
        if not any(path.endswith("." + suffix) for suffix in suffixes):
            continue
        name = prefix + (text_name(path) if prefix else path.replace(".", "_"))
        if isinstance(module, nn.Linear):
            shapes: tuple[tuple[int, ...], ...] = (rank, module.in_features), (module.out_features, rank)
        elif isinstance(module, nn.Conv2d):
            shapes = (rank, module.in_channels, *module.kernel_size), (module.out_channels, rank, 1, 1)
        else:
            continue
        parts.append(_Part(name, root, path, module, shapes))
    return parts


def _embeddings(name: str, root: nn.Module, tokens: int) -> list[_Part]:
    found = [(path, m) for path, m in root.named_modules() if path.endswith("token_embedding")] if tokens else []
    return [
        _Part(name, root, path, module, ((tokens, module.embedding_dim),))
        for path, module in found
        if isinstance(module, nn.Embedding)
    ]


def _swap(part: _Part, module: nn.Module) -> None:
    parent, _, leaf = part.path.rpartition(".")
    setattr(part.root.get_submodule(parent), leaf, module)
