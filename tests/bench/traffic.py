"""What a training step asks of a device, counted without one: operations, kernels, and bytes that pass its memory.

    python -m tests.bench.traffic --architecture sd15 --cohorts 1,16
    python -m tests.bench.traffic --architecture sdxl --cohorts 1,4

The step of a cohort (forward and backward, each SKU with its prior's image) runs on torch's meta device, where tensors
have shapes and no values; `kept_gb` is what it keeps for the backward pass. A kernel needs at least the time of its
arithmetic at the device's rate, and at least that of reading its inputs and writing its outputs once (Williams et al.
2009, the roofline model); the sum over all kernels is a bound that no eager step beats. It is a count, not a
measurement: a kernel that is slower than its bound, and a device that waits for its host, show in
`bench_train --profile` alone.
"""

import argparse
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from tasks.engine.bank import AdapterBank
from tasks.engine.gated import slim
from tests.bench.architectures import UNETS
from tests.bench.tables import as_markdown, say

FORMULAS = flop_registry | {torch.ops.aten.baddbmm_: flop_registry[torch.ops.aten.baddbmm]}  # which torch leaves out
VIEWS = {  # nothing runs for them on the device
    *("_reshape_alias", "_unsafe_view", "alias", "as_strided", "detach", "empty", "empty_like", "empty_strided"),
    *("expand", "new_empty", "new_empty_strided", "permute", "select", "slice", "split", "split_with_sizes", "squeeze"),
    *("t", "transpose", "unbind", "unfold", "unsqueeze", "view"),
}


class Traffic(TorchDispatchMode):
    """Counts what is computed inside: by operation, `calls`, `bytes` read and written once, and `flops`; and `seconds`,
    the bound at `peak` operations and `rate` bytes a second."""

    def __init__(self, peak: float, rate: float) -> None:
        super().__init__()
        self.peak, self.rate = peak, rate
        self.calls, self.bytes, self.flops = Counter[str](), Counter[str](), Counter[str]()
        self.seconds = Counter[str]()
        self.kept: dict[int, Tensor] = {}

    def keep(self, tensor: Tensor) -> Tensor:
        """Notes what autograd keeps for the backward pass, one tensor for each piece of memory."""
        self.kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation and counts it."""
        out = operation(*arguments, **(named or {}))
        name = operation._schema.name.split("::")[1]
        if name in VIEWS:
            return out
        written = {one.name for one in operation._schema.arguments if one.is_out}  # where to: it is not read
        moved = _bytes((*arguments, *(value for key, value in (named or {}).items() if key not in written))) + _bytes(
            out
        )
        count = FORMULAS.get(operation.overloadpacket)
        flops = count(*arguments, **(named or {}), out_val=out) if count else 0
        self.calls[name] += 1
        self.bytes[name] += moved
        self.flops[name] += flops
        self.seconds[name] += max(flops / self.peak, moved / self.rate)
        return out


def count_step(architecture: str, skus: int, rank: int, peak: float, rate: float) -> Traffic:
    """A step of `skus` SKUs, two rows each, of a model of 512 or 1024 pixels in bfloat16 with adapters on attention."""
    settings = UNETS[architecture]
    with torch.device("meta"):
        unet = UNet2DConditionModel(**settings).bfloat16().requires_grad_(False)
        rows, side = 2 * skus, settings["sample_size"]
        noisy, words = torch.empty(rows, 4, side, side), torch.empty(rows, 77, settings["cross_attention_dim"])
        pooled, sizes = torch.empty(rows, 1280).bfloat16(), torch.empty(rows, 6).bfloat16()
        times = torch.empty(rows, dtype=torch.long)
    unet.to(memory_format=torch.channels_last)
    slim(unet)
    inputs = noisy.bfloat16().to(memory_format=torch.channels_last), times, words.bfloat16()
    extra = {"text_embeds": pooled, "time_ids": sizes} if architecture == "sdxl" else None
    traffic = Traffic(peak, rate)
    flash = patch.object(F, "scaled_dot_product_attention", _flash)
    keeping = torch.autograd.graph.saved_tensors_hooks(traffic.keep, lambda tensor: tensor)
    with warnings.catch_warnings(action="ignore"), AdapterBank(unet, skus, rank), flash, keeping, traffic:  # of layouts
        (predicted,) = unet(*inputs, added_cond_kwargs=extra, return_dict=False)
        predicted.float().square().mean().backward()
    for weight in unet.parameters():
        traffic.kept.pop(weight.untyped_storage()._cdata, None)
    return traffic


def _flash(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
    """The kernel that CUDA has for it, which keeps no scores; the meta device would take the plain formula."""
    out = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
    assert isinstance(out, Tensor)
    return out


def _bytes(values: Any) -> int:
    if isinstance(values, Tensor):
        return values.numel() * values.element_size()
    return sum(map(_bytes, values)) if isinstance(values, list | tuple) else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Counts and prints a table of cohorts, and one of the largest cohort's operations."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", choices=sorted(UNETS), default="sd15")
    parser.add_argument("--cohorts", default="1,4,16", help="SKUs in a step")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument(
        "--peak", type=float, default=790, help="TFLOP/s; an H200's matrix products in bfloat16 reach 790"
    )
    parser.add_argument("--rate", type=float, default=4.8, help="TB/s; an H200's data sheet says 4.8")
    options = parser.parse_args(arguments)
    steps = {
        skus: count_step(options.architecture, skus, options.rank, options.peak * 1e12, options.rate * 1e12)
        for skus in map(int, options.cohorts.split(","))
    }
    skus, traffic = list(steps.items())[-1]
    longest = [_line(traffic, name) for name, _ in traffic.seconds.most_common(20)]
    say("\n".join(as_markdown([_row(skus, step) for skus, step in steps.items()])))
    say(f"\nThe operations of {skus} SKUs, by their bound:\n")
    say("\n".join(as_markdown(longest)))


def _row(skus: int, step: Traffic) -> dict[str, Any]:
    arithmetic, bound = step.flops.total() / step.peak, step.seconds.total()
    row = {"skus": skus, "kernels": step.calls.total(), "tflop": step.flops.total() / 1e12}
    row |= {"gb": step.bytes.total() / 1e9, "arithmetic_ms": arithmetic * 1e3, "bound_ms": bound * 1e3}
    kept = sum(tensor.untyped_storage().nbytes() for tensor in step.kept.values())
    return row | {"share_of_peak_at_most": arithmetic / bound, "kept_gb": kept / 1e9}


def _line(traffic: Traffic, name: str) -> dict[str, Any]:
    row = {"operation": name, "calls": traffic.calls[name], "tflop": traffic.flops[name] / 1e12}
    return row | {"gb": traffic.bytes[name] / 1e9, "bound_ms": traffic.seconds[name] * 1e3}


if __name__ == "__main__":
    main()
