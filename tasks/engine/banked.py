"""Modules that stand in for frozen ones and add what a bank's slots hold; a route says whose rows are whose."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Route:
    """Which slots the rows of the next forward pass belong to: all in order, or those in `index`, or none.

    `learned` says for each text encoder where the rows' prompts have learned tokens (rows, length), -1 elsewhere.
    """

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale
        self.index: Tensor | None = None
        self.learned: list[Tensor] = []
        self.off = False


class _BankedLayer(nn.Module):
    """A frozen layer plus the low-rank products of the slots that the bank routes to."""

    def __init__(self, base: nn.Linear | nn.Conv2d, route: Route, a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.a = a
        self.b = b
        self._route = route

    @property
    def weight(self) -> Tensor:
        """The frozen weight (out, in, …): diffusers' attention code reads its dtype and device."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (rows, …) to what the layer makes of it; rows divide into equal groups, one per routed slot."""
        y = self.base(x)
        route = self._route
        if route.off:
            return y
        every, index = (self.a, self.b, route.scale), route.index
        a, b, scale = every if index is None else (factor[index] for factor in every)
        scaled = a * scale.reshape(-1, *(1 for _ in a.shape[1:]))  # before the cast: half precision would round it
        return y + self._product(x, scaled.to(x.dtype), b.to(x.dtype)).reshape(y.shape)

    def _product(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        raise NotImplementedError


class BankedLinear(_BankedLayer):
    """A Linear with slots: A (slots, rank, in), B (slots, out, rank)."""

    def _product(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        low = torch.bmm(x.reshape(a.shape[0], -1, x.shape[-1]), a.transpose(1, 2))
        return torch.bmm(low, b.transpose(1, 2))


class BankedConv(_BankedLayer):
    """A Conv2d with slots: a narrow convolution with the layer's own kernel, A (slots, rank, in, height, width), and a
    1 x 1 one back to the full width, B (slots, out, rank, 1, 1): LoRA for convolutions as kohya's tools and PEFT have
    it."""

    base: nn.Conv2d

    def _product(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        slots, base = len(a), self.base
        side_by_side = x.unflatten(0, (slots, -1)).transpose(0, 1).flatten(1, 2)
        low = F.conv2d(side_by_side, a.flatten(0, 1), None, base.stride, base.padding, base.dilation, slots)
        return b.flatten(2)[:, None] @ low.unflatten(1, (slots, -1)).transpose(0, 1).flatten(3)


class BankedEmbedding(nn.Module):
    """A frozen token embedding whose rows at chosen places are learned ones of the slots that the bank routes to."""

    def __init__(self, base: nn.Embedding, route: Route, number: int, rows: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.rows = rows
        self.number = number
        self._route = route

    @property
    def weight(self) -> Tensor:
        """The frozen embedding (vocabulary, width)."""
        return self.base.weight

    def forward(self, ids: Tensor) -> Tensor:
        """ids (rows, length) to (rows, length, width); rows divide into equal groups, one per routed slot."""
        y = self.base(ids)
        route = self._route
        if route.off or not route.learned:
            return y
        places = route.learned[self.number]
        learned = self.rows if route.index is None else self.rows[route.index]
        learned = learned.repeat_interleave(len(ids) // len(learned), 0)
        index = places.clamp(min=0)[..., None].expand(-1, -1, learned.shape[-1])
        return torch.where(places[..., None] >= 0, learned.gather(1, index).to(y.dtype), y)
