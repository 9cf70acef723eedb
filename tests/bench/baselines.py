"""What the cohort is compared with: one SKU at a time, by PEFT's own layers, and by diffusers' own script.

Both are given what helps them: latents and prompt embeddings computed beforehand in the loop of ours, class images
drawn beforehand for the script, start-up counted apart in both.
"""

import copy
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from PIL import Image

from configs.schema import TrainingConfig
from tasks.engine.bank import TARGETS
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, encode_prompt, predict
from tasks.engine.crops import EncodedCrops, encode_class_images, encode_crops
from tasks.engine.noise import NoiseSchedule
from tasks.engine.training import TrainingJob
from tests.bench.device import memory_now, synchronize


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
        latents, weight = source.sample(index.to(base.device), spread.to(source.mean))
        times = torch.randint(len(schedule), (how.batch_size,), generator=generator).to(base.device)
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
    script: Path, model: Path, job: TrainingJob, how: TrainingConfig, resolution: int, steps: int, precision: str
) -> Timing:
    """diffusers' `train_dreambooth_lora.py`, unmodified, twice: the further steps of the longer run are timed."""
    with tempfile.TemporaryDirectory() as folder:
        photos = [photo.rgb for photo in job.photos]
        for name, images in (("photos", photos), ("class", list(job.class_images))):
            (Path(folder) / name).mkdir()
            for number, image in enumerate(images):
                Image.fromarray(image).save(Path(folder) / name / f"{number}.png")
        command = _command(script, model, Path(folder), job, how, resolution, precision)
        short, long = (_seconds([*command, f"--max_train_steps={count}"]) for count in (2, 2 + steps))
    step, processor = ((b - a) / steps for a, b in zip(short, long, strict=True))
    return Timing(short[0] - 2 * step, step, processor, float("nan"))


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


def _seconds(command: list[str]) -> tuple[float, float]:
    """Seconds, and processor seconds, of a program."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"diffusers' script failed:\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used
