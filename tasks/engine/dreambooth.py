"""Full DreamBooth (Ruiz et al. 2023, arXiv:2208.12242): every weight of the UNet learns, one SKU at a time, and with
`text_encoder` every weight of the text encoders too.

What is kept is the difference to the base model, in bfloat16, under the `.diff` keys that ComfyUI and A1111 add to a
model's weights. It is as large as half the UNet in single precision, and its images cannot share a batch.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from configs.training import TrainingConfig
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import encode_prompt
from tasks.engine.crops import encode_class_images, encode_crops
from tasks.engine.jobs import (
    HALF_SCALE,
    RUNAWAY,
    DivergedAdapter,
    Outcome,
    TrainedAdapter,
    TrainingJob,
    diverged,
    rate_at,
)
from tasks.engine.lora_file import LoraWeights
from tasks.engine.objective import Objective
from tasks.engine.tenant import Tenant
from tasks.engine.text import tokenize

CHECK_EVERY = 25


def train_whole(
    base: BaseModel, job: TrainingJob, recipe: TrainingConfig, resolution: int, step_done: Callable[[], None]
) -> Outcome:
    """One SKU's own model, as its difference to the base model. `step_done` is called after each step."""
    master = torch.float64 if base.dtype == torch.float64 else torch.float32
    own = {name: copy.deepcopy(module).to(master) for name, module in _modules(base, recipe).items()}
    tenant, before = _tenant(base, job, recipe, resolution), base.parameters()
    with _reading_with(base, own):
        return _train(base, tenant, recipe, own, before, step_done)


def _train(
    base: BaseModel,
    tenant: Tenant,
    recipe: TrainingConfig,
    own: dict[str, Any],
    before: dict[str, torch.nn.Parameter],
    step_done: Callable[[], None],
) -> Outcome:
    job, unet = tenant.job, own["unet"]
    learned = {
        f"{part}.{name}" if part != "unet" else name: parameter.requires_grad_(True)
        for part, module in own.items()
        for name, parameter in module.named_parameters()
    }
    nothing = AdapterBank(base.unet, 1, 1, ())
    nothing.trains_text = len(own) > 1
    objective = Objective(base, nothing, recipe, _mixed(base, unet), anchor=base.unet)
    tenant.loss_before = objective.probe(tenant)
    parameters = list(learned.values())
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scaler = torch.amp.GradScaler(base.device.type, init_scale=HALF_SCALE, enabled=base.dtype == torch.float16)
    for step in range(1, job.steps + 1):
        tenant.step = step
        optimizer.param_groups[0]["lr"] = rate_at(recipe, step, job.steps)
        loss = objective.losses([tenant]).sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        step_done()
        if step % CHECK_EVERY == 0 and not math.isfinite(float(loss.detach())):
            return _diverged(tenant, float(loss.detach()), recipe)
    after = objective.probe(tenant)
    if not after < RUNAWAY * tenant.loss_before:  # nor is a loss that is not finite
        return _diverged(tenant, after, recipe)
    weights = LoraWeights({}, 1, 1.0, differences=_differences(before, learned))
    return TrainedAdapter(job.adapter_id, job.sku, weights, job.steps, tenant.loss_before, after)


def _tenant(base: BaseModel, job: TrainingJob, recipe: TrainingConfig, resolution: int) -> Tenant:
    generator = torch.Generator().manual_seed(job.seed)
    crops = encode_crops(base, job.photos, resolution, recipe.crops, recipe.flip, recipe.background_weight, generator)
    rehearsal = encode_class_images(base, job.class_images, resolution) if recipe.prior_images else None
    texts = encode_prompt(base, job.instance), encode_prompt(base, job.prior)
    tenant = Tenant(job, 0, generator, crops, *texts, rehearsal)
    tenant.prompts = tokenize(base, job.instance), tokenize(base, job.prior)
    return tenant


def _modules(base: BaseModel, recipe: TrainingConfig) -> dict[str, Any]:
    """What learns, under the names that `BaseModel.parameters` gives."""
    return {"unet": base.unet} | (base.text_encoders if recipe.text_encoder else {})


@contextmanager
def _reading_with(base: BaseModel, own: dict[str, Any]) -> Iterator[None]:
    """Prompts inside are read by the text encoders in `own`."""
    names = {"te": "text_encoder", "te1": "text_encoder", "te2": "text_encoder_2"}
    kept = {names[name]: module for name, module in base.text_encoders.items() if name in own}
    try:
        for name in own.keys() & names.keys():
            setattr(base.pipeline, names[name], own[name])
        yield
    finally:
        for attribute, module in kept.items():
            setattr(base.pipeline, attribute, module)


def _mixed(base: BaseModel, unet: torch.nn.Module) -> Callable[..., tuple[Tensor, ...]]:
    """The UNet computing in the base model's precision, its weights staying in their own."""
    half = base.dtype in (torch.bfloat16, torch.float16)

    def forward(*inputs: Tensor, **options: object) -> tuple[Tensor, ...]:
        with torch.autocast(base.device.type, base.dtype if half else torch.bfloat16, enabled=half):
            return unet(*inputs, **options)

    return forward


def _differences(before: dict[str, torch.nn.Parameter], learned: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    changes = ((name, after.detach() - before[name].to(after)) for name, after in learned.items())
    return {name: change.to(torch.bfloat16).cpu() for name, change in changes if bool(change.any())}


def _diverged(tenant: Tenant, loss: float, recipe: TrainingConfig) -> DivergedAdapter:
    return diverged(tenant.job, tenant.step, loss, tenant.loss_before, recipe.learning_rate)
