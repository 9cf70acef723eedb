import pytest
import torch
from diffusers.models.activations import GEGLU

from tasks.engine.gated import slim


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_gated_layer_gives_the_same_bits_and_keeps_its_input_alone(dtype):
    torch.manual_seed(0)
    layer, x, of_y = GEGLU(6, 24).to(dtype), torch.randn(2, 5, 6, dtype=dtype), torch.randn(2, 5, 24, dtype=dtype)
    results, sizes = [], []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.untyped_storage().nbytes())
        return tensor

    for _ in range(2):
        own = x.clone().requires_grad_()
        sizes.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = layer(own)
        y.backward(of_y)
        results.append((y, own.grad, layer.proj.weight.grad.clone()))
        layer.zero_grad()
        slim(torch.nn.Sequential(layer))
    assert all(torch.equal(plain, ours) for plain, ours in zip(*results, strict=True))
    assert of_y.nbytes not in sizes, "the activation, as large as the output"
