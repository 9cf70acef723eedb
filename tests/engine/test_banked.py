"""The layer that adapters stand in, by itself: its hand-written gradients against numerical ones."""

import pytest
import torch
from torch import nn

from tasks.engine.banked import BankedLinear, Route

SLOTS, RANK, WIDTH, OUT = 3, 2, 5, 4


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("index", [None, [2, 0], [1, 1, 1, 0, 2, 2]])
def test_the_gradients_of_a_linear_with_slots_are_those_of_its_formula(bias: bool, index: list[int] | None) -> None:
    torch.manual_seed(0)
    base = nn.Linear(WIDTH, OUT, bias=bias, dtype=torch.float64).requires_grad_(False)
    route = Route(torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64))
    a = nn.Parameter(torch.randn(SLOTS, RANK, WIDTH, dtype=torch.float64))
    b = nn.Parameter(torch.randn(SLOTS, OUT, RANK, dtype=torch.float64))
    layer = BankedLinear(base, route, a, b)
    route.index = None if index is None else torch.tensor(index)
    slots = list(range(SLOTS)) if index is None else index
    x = torch.randn(2 * len(slots), 3, WIDTH, dtype=torch.float64, requires_grad=True)

    expected = [
        base(x[2 * n : 2 * n + 2]) + x[2 * n : 2 * n + 2] @ (route.scale[slot] * b[slot] @ a[slot]).T
        for n, slot in enumerate(slots)
    ]
    torch.testing.assert_close(layer(x), torch.cat(expected), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda *_: layer(x), (x, a, b))


def test_rows_that_do_not_lie_in_order_are_read_all_the_same() -> None:
    torch.manual_seed(0)
    layer = BankedLinear(
        nn.Linear(WIDTH, OUT).requires_grad_(False),
        Route(torch.ones(SLOTS)),
        nn.Parameter(torch.randn(SLOTS, RANK, WIDTH)),
        nn.Parameter(torch.randn(SLOTS, OUT, RANK)),
    )
    x = torch.randn(WIDTH, 7, SLOTS).permute(2, 1, 0)
    torch.testing.assert_close(layer(x), layer(x.contiguous()))
    layer(x).mean().backward()  # whose gradient is one number, expanded
    assert layer.a.grad is not None
    assert layer.a.grad.abs().sum() > 0
