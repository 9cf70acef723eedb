"""What the cohort is compared with: one SKU at a time, by PEFT's own layers, and by diffusers' own script.

Both are given what helps them: latents and prompt embeddings computed beforehand in the loop of ours, class images
drawn beforehand for the script, start-up counted apart in both.
"""

import copy
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from peft import LoraConfig
from PIL import Image

from configs.training import TrainingConfig
from tasks.engine.bank import TARGETS
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, encode_prompt, predict
from tasks.engine.crops import EncodedCrops, encode_class_images, encode_crops
from tasks.engine.jobs import TrainingJob
from tasks.engine.noise import NoiseSchedule
from tasks.engine.transfer import to_device
from tests.bench.device import memory_now, reset_memory, synchronize

SCRIPT_WARM = 3  # steps of the script before the clock starts


@dataclass(frozen=True)
class Timing:
    """Seconds before the first counted step, seconds and processor seconds of one step of all SKUs in it, GB at most.

    Processor seconds tell more than seconds where other programs share the processor; on a GPU they tell nothing.
    """

    startup: float
    step: float
    processor: float
    memory: float


def plain_loop(
    base: BaseModel, job: TrainingJob, how: TrainingConfig, resolution: int, steps: int, warm: int, compiled: bool
) -> Timing:
    """The loop that most trainers are: one SKU, batch 1, PEFT layers, torch's fused AdamW, everything cached."""
    reset_memory(base.device)
    started = time.perf_counter()
    unet = copy.deepcopy(base.unet)
    suffixes = [suffix for target in how.targets for suffix in TARGETS[target]]
    unet.add_adapter(LoraConfig(r=how.rank, lora_alpha=how.alpha, target_modules=suffixes))
    parameters = [parameter.requires_grad_(True) for name, parameter in unet.named_parameters() if ".lora_" in name]
    for parameter in parameters:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(parameters, lr=how.learning_rate, weight_decay=how.weight_decay, fused=True)
    step = _step(base, unet, job, how, resolution, compiled)
    for number in range(warm + steps):
        if number == warm:
            synchronize(base.device)
            ready, used = time.perf_counter(), time.process_time()
        step().backward()
        torch.nn.utils.clip_grad_norm_(parameters, how.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
    synchronize(base.device)
    seconds, processor = (time.perf_counter() - ready) / steps, (time.process_time() - used) / steps
    return Timing(ready - started - warm * seconds, seconds, processor, memory_now(base.device))


def _step(
    base: BaseModel, unet: Any, job: TrainingJob, how: TrainingConfig, resolution: int, compiled: bool
) -> Callable[[], torch.Tensor]:
    """A function that draws the next inputs and returns their loss."""
    generator, schedule = torch.Generator().manual_seed(job.seed), NoiseSchedule(base)
    crops = encode_crops(base, job.photos, resolution, how.crops, how.flip, how.background_weight, generator)
    drawn = encode_class_images(base, job.class_images, resolution) if how.prior_images else crops
    text, prior = (encode_prompt(base, words).repeat_each(how.batch_size) for words in (job.instance, job.prior))
    both = Conditioning(
        torch.cat([text.embeds, prior.embeds]),
        None if text.pooled is None or prior.pooled is None else torch.cat([text.pooled, prior.pooled]),
    )
    denoise = torch.compile(unet, dynamic=False) if compiled else unet

    def inputs(source: EncodedCrops) -> tuple[torch.Tensor, ...]:
        index = torch.randint(len(source.mean), (how.batch_size,), generator=generator)
        noise, spread = (torch.randn(how.batch_size, *source.mean.shape[1:], generator=generator) for _ in range(2))
        times = torch.randint(len(schedule), (how.batch_size,), generator=generator)
        index, times, noise, spread = (to_device(drawn, base.device) for drawn in (index, times, noise, spread))
        latents, weight = source.sample(index, spread.to(source.mean))
        noisy, target = schedule.noised(latents, noise.to(latents), times)
        return noisy.to(base.dtype), target, weight, times

    def error(answer: torch.Tensor, target: torch.Tensor, weight: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        squared = ((answer.float() - target.float()) ** 2 * weight).mean((1, 2, 3))
        return (squared * schedule.min_snr(times, how.snr_gamma)).mean() if how.snr_gamma else squared.mean()

    def loss() -> torch.Tensor:
        noisy, target, weight, times = inputs(crops)
        if not how.prior_weight:
            return error(predict(base, noisy, times, text, denoise), target, weight, times)
        if how.prior_images:
            kept, kept_target, kept_weight, kept_times = inputs(drawn)
        else:
            kept, kept_weight, kept_times = noisy, torch.ones_like(weight), times
            unet.disable_adapters()
            with torch.no_grad():
                kept_target = predict(base, noisy, times, prior, denoise)
            unet.enable_adapters()
        learned, same = predict(base, torch.cat([noisy, kept]), torch.cat([times, kept_times]), both, denoise).chunk(2)
        drift = error(same, kept_target, kept_weight, kept_times)
        return error(learned, target, weight, times) + how.prior_weight * drift

    return loss


def diffusers_script(
    script: Path, model: Path, job: TrainingJob, how: TrainingConfig, resolution: int, steps: int, base: BaseModel
) -> Timing:
    """diffusers' `train_dreambooth_lora.py`, unmodified, timed by its own progress bar, which it moves once a step when
    it has read the loss. It is stopped after the counted steps: saving is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [photo.rgb for photo in job.photos]
        for name, images in (("photos", photos), ("class", list(job.class_images))):
            (Path(folder) / name).mkdir()
            for number, image in enumerate(images):
                Image.fromarray(image).save(Path(folder) / name / f"{number}.png")
        precision = str(base.dtype).removeprefix("torch.")
        command = _command(script, model, Path(folder), job, how, resolution, precision)
        return _watched([*command, f"--max_train_steps={SCRIPT_WARM + steps + 1}"], steps, base.device)


def _command(
    script: Path, model: Path, folder: Path, job: TrainingJob, how: TrainingConfig, resolution: int, precision: str
) -> list[str]:
    options = {
        "pretrained_model_name_or_path": model.resolve(),
        "instance_data_dir": folder / "photos",
        "instance_prompt": job.instance,
        "output_dir": folder / "out",
        "resolution": resolution,
        "rank": how.rank,
        "train_batch_size": how.batch_size,
        "learning_rate": how.learning_rate,
        "seed": 0,
        "checkpointing_steps": 1_000_000,
        "mixed_precision": {"bfloat16": "bf16", "float16": "fp16"}.get(precision, "no"),
    }
    if how.prior_weight and job.class_images:
        options |= {
            "class_data_dir": folder / "class",
            "class_prompt": job.prior,
            "num_class_images": len(job.class_images),
            "prior_loss_weight": how.prior_weight,
        }
    flags = ["--with_prior_preservation"] if how.prior_weight and job.class_images else []
    return [sys.executable, str(script), *flags, *(f"--{name}={value}" for name, value in options.items())]


def _watched(command: list[str], steps: int, device: torch.device) -> Timing:
    """Runs a program that writes `n/total [` to its standard error after each step, up to the step that is not counted.

    A step's end is when its number is written last: before that the bar may move without waiting for the device.
    """
    free, taken, said, unread = _free(device), 0, b"", b""
    started, last = time.perf_counter(), SCRIPT_WARM + steps + 1
    shown = re.compile(rb"\| (\d+)/%d \[" % last)
    ends: dict[int, tuple[float, float]] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        watched = psutil.Process(process.pid)
        while last not in ends and (chunk := os.read(process.stderr.fileno(), 65536)):
            said, unread = said + chunk, unread + chunk
            for match in shown.finditer(unread):
                ends[int(match[1])] = time.perf_counter(), _processor(watched)
            unread = shown.split(unread)[-1]
            taken = max(taken, free - _free(device))
        process.terminate()
        said += process.stderr.read()
    if not {SCRIPT_WARM, SCRIPT_WARM + steps} <= ends.keys():
        raise RuntimeError(f"diffusers' script failed:\n{said.decode(errors='replace')[-2000:]}")
    (ready, used), (end, processor) = ends[SCRIPT_WARM], ends[SCRIPT_WARM + steps]
    step = (end - ready) / steps
    memory = taken / 1e9 if device.type == "cuda" else float("nan")
    return Timing(ready - started - SCRIPT_WARM * step, step, (processor - used) / steps, memory)


def _processor(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it has ended
        return float("nan")
    return float(times.user + times.system)


def _free(device: torch.device) -> int:
    """Bytes that no program has taken of a GPU's memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
