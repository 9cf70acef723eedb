"""The adapter bank: the LoRA weights of many SKUs, stacked, on one frozen UNet.

Every target Linear gets `A[slots, rank, in]` and `B[slots, out, rank]`. A batch is made of equal groups of rows, one
group per slot, and each group sees its own slot's `B · A` (Hu et al. 2021, arXiv:2106.09685) on top of the frozen
weight. One matrix product per factor serves all slots, so a step of many SKUs launches as many kernels as a step of
one, and no row ever sees another slot's weights: a SKU's gradients are those it would have had alone.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from catalog_schemas.errors import ModelError
from tasks.engine.lora_file import LoraWeights

TARGETS = {
    "attention": ("to_q", "to_k", "to_v", "to_out.0"),
    "feed_forward": ("ff.net.0.proj", "ff.net.2"),
}


class BankedLinear(nn.Module):
    """A frozen Linear plus the low-rank products of the slots that the bank routes to."""

    def __init__(self, base: nn.Linear, bank: "AdapterBank", a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.a = a
        self.b = b
        self._route = bank.route

    @property
    def weight(self) -> Tensor:
        """The frozen weight (out, in): diffusers' attention code reads its dtype and device."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (rows, …, in) to (rows, …, out); rows divide into equal groups, one per routed slot."""
        y = self.base(x)
        route = self._route
        if route.off:
            return y
        every, index = (self.a, self.b, route.scale), route.index
        a, b, scale = every if index is None else (factor[index] for factor in every)
        grouped = x.reshape(a.shape[0], -1, x.shape[-1])
        low = torch.bmm(grouped, a.to(x.dtype).transpose(1, 2)) * scale.to(x.dtype)[:, None, None]
        return y + torch.bmm(low, b.to(x.dtype).transpose(1, 2)).reshape(y.shape)


class Route:
    """Which slots the rows of the next forward pass belong to: all in order, or those in `index`, or none."""

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale
        self.index: Tensor | None = None
        self.off = False


class AdapterBank:
    """Slots for adapters on the Linears of a UNet; use as a context manager, which restores the UNet at its end.

    All weights of a slot lie in one row of `weights` (slots, parameters per slot), and all gradients in one row of
    `gradients`: a norm, an optimizer step, a snapshot or a new tenant is one operation on rows.
    """

    def __init__(self, unet: nn.Module, slots: int, rank: int, targets: tuple[str, ...] = ("attention",)) -> None:
        suffixes = tuple(suffix for target in targets for suffix in TARGETS[target])
        if any(getattr(module, "fused_projections", False) for module in unet.modules()):
            raise ModelError("the UNet's attention projections are fused, which bypasses adapters; unfuse them first")
        self.unet = unet
        self.slots = slots
        self.rank = rank
        self.linears = {name: module for name, module in unet.named_modules() if _is_target(name, module, suffixes)}
        assert self.linears, f"the UNet has no Linear whose name ends in {suffixes}"
        self.names = [name.replace(".", "_") for name in self.linears]
        first = next(iter(self.linears.values())).weight
        dtype = torch.float64 if first.dtype == torch.float64 else torch.float32
        per_slot = sum(rank * (m.in_features + m.out_features) for m in self.linears.values())
        self.weights = torch.zeros(slots, per_slot, dtype=dtype, device=first.device)
        self.gradients = torch.zeros_like(self.weights)
        self.route = Route(torch.ones(slots, dtype=dtype, device=first.device))

    def __enter__(self) -> Self:
        for name, (a, b) in zip(self.linears, self._factors(), strict=True):
            self._swap(name, BankedLinear(self.linears[name], self, a, b))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, linear in self.linears.items():
            self._swap(name, linear)

    @contextmanager
    def routed(self, index: Tensor | None) -> Iterator[None]:
        """Rows of the passes inside belong to the slots in `index` (group after group); None means all slots."""
        self.route.index = index
        try:
            yield
        finally:
            self.route.index = None

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """Passes inside see the plain base model."""
        self.route.off = True
        try:
            yield
        finally:
            self.route.off = False

    def initialise(self, slot: int, generator: torch.Generator) -> None:
        """A fresh adapter: A uniform as nn.Linear's own start, B zero, so that it begins as the base model."""
        for module, a, b in self._views(self.weights[slot]):
            bound = 1 / math.sqrt(module.in_features)
            a.copy_(torch.empty(a.shape, dtype=a.dtype).uniform_(-bound, bound, generator=generator))
            b.zero_()

    def load(self, slot: int, lora: LoraWeights) -> None:
        """Puts saved weights into a slot; a lower rank is padded with zeros, which change nothing.

        Modules that the adapter does not change stay the base model's. Raises ValueError where it changes others than
        the bank's, or its rank is above the bank's.
        """
        odd = sorted(set(lora.modules) - set(self.names))
        if odd:
            raise ValueError(f"the adapter changes {len(odd)} modules that the bank has not, the first: {odd[0]}")
        if lora.rank > self.rank:
            raise ValueError(f"the adapter's rank {lora.rank} is above the bank's rank {self.rank}")
        self.weights[slot].zero_()
        for name, (_, a, b) in zip(self.names, self._views(self.weights[slot]), strict=True):
            if name in lora.modules:
                down, up = lora.modules[name]
                a[: lora.rank].copy_(down)
                b[:, : lora.rank].copy_(up)
        self.route.scale[slot] = lora.alpha / lora.rank

    def clear(self, slot: int) -> None:
        """An empty slot renders as the base model."""
        self.weights[slot].zero_()

    def save(self, slot: int, rank: int, alpha: float) -> LoraWeights:
        """A copy of a slot's weights on the CPU, cut to `rank`."""
        views = zip(self.names, self._views(self.weights[slot]), strict=True)
        modules = {n: (a[:rank].cpu().clone(), b[:, :rank].cpu().contiguous().clone()) for n, (_, a, b) in views}
        return LoraWeights(modules, rank, alpha)

    def _factors(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """One leaf per factor whose data and gradient are windows on the stacked rows."""
        values, gradients = self._views(self.weights), self._views(self.gradients)
        for (_, a, b), (_, grad_a, grad_b) in zip(values, gradients, strict=True):
            pair = nn.Parameter(a), nn.Parameter(b)
            pair[0].grad, pair[1].grad = grad_a, grad_b
            yield pair

    def _views(self, rows: Tensor) -> Iterator[tuple[nn.Linear, Tensor, Tensor]]:
        """A and B of every Linear as windows on `rows` (…, parameters per slot)."""
        start = 0
        for module in self.linears.values():
            shape_a, shape_b = (self.rank, module.in_features), (module.out_features, self.rank)
            middle, end = start + math.prod(shape_a), start + math.prod(shape_a) + math.prod(shape_b)
            yield module, rows[..., start:middle].unflatten(-1, shape_a), rows[..., middle:end].unflatten(-1, shape_b)
            start = end

    def _swap(self, name: str, module: nn.Module) -> None:
        parent, _, leaf = name.rpartition(".")
        setattr(self.unet.get_submodule(parent), leaf, module)


def _is_target(name: str, module: nn.Module, suffixes: tuple[str, ...]) -> bool:
    return isinstance(module, nn.Linear) and any(name.endswith("." + suffix) for suffix in suffixes)
