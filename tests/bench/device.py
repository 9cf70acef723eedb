"""What the device is and can do: its name, its measured matrix-product rate, the memory in use."""

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_peak(device: torch.device, dtype: torch.dtype, seconds: float = 2.0) -> float:
    """The best TFLOP/s of a large square matrix product over about `seconds`, in the precision of the training."""
    side = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, end = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        synchronize(device)
        started = time.perf_counter()
        for _ in range(4):
            torch.mm(a, b)
        synchronize(device)
        best = max(best, 4 * 2 * side**3 / (time.perf_counter() - started) / 1e12)
    return best


def memory_now(device: torch.device) -> float:
    """GB in use: the most that CUDA has held since the last `reset_memory`, or the process's resident memory now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * 4096 / 1e9 if status.is_file() else float("nan")


def reset_memory(device: torch.device) -> None:
    """Starts the count of CUDA's peak anew."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the threads in use."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or device.type}, {torch.get_num_threads()} threads"


def occasion(device: torch.device) -> dict[str, Any]:
    """When, of what and on what a benchmark is measured."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"date": now, "commit": commit(), "device": device_name(device)}


def commit() -> str:
    """The commit's short name, with a plus where files differ from it; PACKSHOT_COMMIT where there is no repository."""
    try:
        return _git("rev-parse", "--short=12", "HEAD") + ("+" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("PACKSHOT_COMMIT", "unversioned")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
