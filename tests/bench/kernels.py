"""Where a step's time goes: the device's kernels by kind, and how long it had nothing to do.

Kinds are told by a kernel's name, which libraries change as they like; the longest kernels are kept with their names,
so that a reader can check.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from tests.bench.tables import as_markdown

KINDS = (  # the first that matches
    ("normalisation and elementwise", r"triton_(poi|red|per)_|^cpp_fused"),
    ("attention", r"flash|fmha|attention|sdpa"),
    ("copies and layout", r"memcpy|memset|nchwtonhwc|nhwctonchw|nhwcadd|transpose|permute|copy|cat(array|_)|::cat$"),
    ("convolutions", r"conv|wgrad|dgrad|fprop|cudnn"),
    ("matrix products", r"gemm|gemv|cutlass|cublas|nvjet|xmma|splitk|triton_(tem|mm)|mm$|matmul|linear"),
    ("optimizer", r"lerp|addcmul|adam"),
    (
        "normalisation and elementwise",
        r"norm|moments|elementwise|reduce|softmax|silu|gelu|vectorized|fill|add|mul|sum|mean|index",
    ),
)
TOP = 12  # kernels that are kept by name


@dataclass(frozen=True)
class Span:
    """A kernel on the device, in nanoseconds."""

    name: str
    start: int
    length: int


def kind_of(name: str) -> str:
    """What a kernel, or an operation of the CPU, is for."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, name.lower())), "the rest")


def profiler(device: torch.device) -> profile:
    """A profiler of the device alone: what the host does would slow the host, which is what small batches wait for."""
    return profile(activities=[ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU])


def summary(recorded: profile, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by kind, of the longest kernels, and the share of the time in which none ran."""
    result = recorded.profiler.kineto_results if recorded.profiler else None
    events = result.events() if result else []
    spans = [Span(e.name(), e.start_ns(), e.duration_ns()) for e in events if e.device_type() == DeviceType.CUDA]
    spans = [span for span in spans if not span.name.startswith(("Torch-Compiled", "ProfilerStep", "##"))]
    if spans:
        return tally([(span.name, span.length / 1e6) for span in spans], steps) | idle(spans, steps)
    return tally([(row.key, row.self_cpu_time_total / 1e3) for row in recorded.key_averages()], steps)


def tally(times: list[tuple[str, float]], steps: int) -> dict[str, Any]:
    """Milliseconds of a step by kind and for the longest names, longest first."""
    kinds: dict[str, float] = {}
    names: dict[str, float] = {}
    for name, milliseconds in times:
        kinds[kind_of(name)] = kinds.get(kind_of(name), 0.0) + milliseconds / steps
        names[name[:120]] = names.get(name[:120], 0.0) + milliseconds / steps
    return {
        "milliseconds": _ranked(kinds),
        "longest": dict(list(_ranked(names).items())[:TOP]),
    }


def idle(spans: list[Span], steps: int) -> dict[str, float]:
    """How long a step was from its first kernel to its last, and the share of that in which the device ran nothing."""
    busy, begin = 0, min(span.start for span in spans)
    end = begin
    for span in sorted(spans, key=lambda span: span.start):
        busy += max(0, span.start + span.length - max(end, span.start))
        end = max(end, span.start + span.length)
    return {
        "kernels": len(spans) / steps,
        "step_milliseconds": (end - begin) / steps / 1e6,
        "idle": 1 - busy / max(end - begin, 1),
    }


def lines(profiles: list[dict[str, Any]]) -> list[str]:
    """A table for people: a row for each profiled cohort."""
    told = ("name", "skus", "idle", "kernels")
    return as_markdown(
        [
            {key: one[key] for key in told if key in one}
            | {f"{kind}, ms": milliseconds for kind, milliseconds in one["milliseconds"].items()}
            for one in profiles
        ]
    )


def _ranked(times: dict[str, float]) -> dict[str, float]:
    return dict(sorted(times.items(), key=lambda item: -item[1]))
