"""Modules that stand in for frozen ones and add what a bank's slots hold; a route says whose rows are whose."""

from typing import Any

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
        route = self._route
        if route.off:
            return self.base(x)
        every, index = (self.a, self.b, route.scale), route.index
        a, b, scale = every if index is None else (factor[index] for factor in every)
        return self._adapted(x, a, b, scale.reshape(-1, *(1 for _ in a.shape[1:])))

    def _adapted(self, x: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        raise NotImplementedError


class BankedLinear(_BankedLayer):
    """A Linear with slots: A (slots, rank, in), B (slots, out, rank)."""

    def _adapted(self, x: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        return _AdaptedLinear.apply(x, self.base.weight, self.base.bias, a, b, scale)


class _AdaptedLinear(torch.autograd.Function):
    """The frozen layer's output with the slots' products added in place, and the same for the gradient of its input.

    Autograd alone writes each product out and adds it afterwards, which is a tenth of the bytes that a step moves.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: Tensor
    ) -> Tensor:
        down, up = _scaled(a, scale, x.dtype), b.to(x.dtype)
        y, low = F.linear(x, weight, bias), torch.bmm(_grouped(x, down), down.mT)
        y.view(*low.shape[:2], -1).baddbmm_(low, up.mT)
        ctx.save_for_backward(x, weight, down, up, scale, low)
        return y

    @staticmethod
    def backward(ctx: Any, *of: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, down, up, scale, low = ctx.saved_tensors
        of_y = _grouped(of[0], down)
        of_low, of_x = torch.bmm(of_y, up), None
        if ctx.needs_input_grad[0]:
            of_x = of[0] @ weight
            of_x.view(*low.shape[:2], -1).baddbmm_(of_low, down)
        of_a = torch.bmm(of_low.mT, _grouped(x, down)) * scale
        return of_x, None, None, of_a, torch.bmm(of_y.mT, low).to(scale.dtype), None


def _scaled(a: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    """A times its adapter's scale, and only then rounded to the model's precision."""
    return torch.mul(a, scale, out=torch.empty_like(a, dtype=dtype))


def _grouped(values: Tensor, slots: Tensor) -> Tensor:
    """Rows (…, width) as (slots, rows of one, width)."""
    return values.reshape(len(slots), -1, values.shape[-1])


class BankedConv(_BankedLayer):
    """A Conv2d with slots: a narrow convolution with the layer's own kernel, A (slots, rank, in, height, width), and a
    1 x 1 one back to the full width, B (slots, out, rank, 1, 1): LoRA for convolutions as kohya's tools and PEFT have
    it."""

    base: nn.Conv2d

    def _adapted(self, x: Tensor, a: Tensor, b: Tensor, scale: Tensor) -> Tensor:
        y, slots, base = self.base(x), len(a), self.base
        side_by_side = x.unflatten(0, (slots, -1)).transpose(0, 1).flatten(1, 2)
        down = (a * scale).to(x.dtype).flatten(0, 1)  # scaled before the cast: half precision would round it
        low = F.conv2d(side_by_side, down, None, base.stride, base.padding, base.dilation, slots)
        product = b.to(x.dtype).flatten(2)[:, None] @ low.unflatten(1, (slots, -1)).transpose(0, 1).flatten(3)
        return y + product.reshape(y.shape)


class BankedEmbedding(nn.Module):
    """A frozen token embedding whose rows at chosen places are learned ones of the slots that the bank routes to."""

    def __init__(self, base: nn.Embedding, route: Route, number: int, rows: nn.Parameter) -> None:
        super().__init__()
        self.base = base
        self._rows = (rows,)  # no parameter of the module's: a text encoder's first one says what precision it has
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
        (rows,) = self._rows
        learned = rows if route.index is None else rows[route.index]
        learned = learned.repeat_interleave(len(ids) // len(learned), 0)
        index = places.clamp(min=0)[..., None].expand(-1, -1, learned.shape[-1])
        return torch.where(places[..., None] >= 0, learned.gather(1, index).to(y.dtype), y)
