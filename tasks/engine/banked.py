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


class BankedLinear(nn.Module):
    """A frozen Linear plus the low-rank products of the slots that the bank routes to."""

    def __init__(self, base: nn.Linear, route: Route, a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.a = a
        self.b = b
        self._route = route

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
        scaled = (a * scale[:, None, None]).to(x.dtype)  # before the cast: half precision would round the scale itself
        low = torch.bmm(grouped, scaled.transpose(1, 2))
        return y + torch.bmm(low, b.to(x.dtype).transpose(1, 2)).reshape(y.shape)


class BankedConv(nn.Module):
    """A frozen Conv2d plus, for the slots that the bank routes to, a narrow convolution with its own kernel and a 1 x 1
    one back to the full width: LoRA for convolutions as kohya's tools and PEFT have it."""

    def __init__(self, base: nn.Conv2d, route: Route, a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self.a = a
        self.b = b
        self._route = route

    @property
    def weight(self) -> Tensor:
        """The frozen weight (out, in, height, width)."""
        return self.base.weight

    def forward(self, x: Tensor) -> Tensor:
        """x (rows, in, h, w) to (rows, out, h', w'); rows divide into equal groups, one per routed slot."""
        y = self.base(x)
        route, base = self._route, self.base
        if route.off:
            return y
        every, index = (self.a, self.b, route.scale), route.index
        a, b, scale = every if index is None else (factor[index] for factor in every)
        scaled = (a * scale[:, None, None, None, None]).to(x.dtype)
        slots, side_by_side = len(a), x.unflatten(0, (len(a), -1)).transpose(0, 1).flatten(1, 2)
        low = F.conv2d(side_by_side, scaled.flatten(0, 1), None, base.stride, base.padding, base.dilation, slots)
        low = low.unflatten(1, (slots, -1)).transpose(0, 1).flatten(3)
        return y + (b.flatten(2).to(x.dtype)[:, None] @ low).reshape(y.shape)


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
