"""Training's whole state as bytes, so that a resumed one ends with the bits of an uninterrupted one.

A safetensors file: the bank's rows, the optimizer's moments, each tenant's random generator and recent losses, and the
weights of the SKUs already finished; its header holds what is not a tensor. Crops and prompts are not in it: they
follow from the jobs, and are made again.
"""

import dataclasses
import json
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from catalog_schemas.identity import canonical_json, content_id
from tasks.engine.cohort import Cohort
from tasks.engine.evaluation import Watch
from tasks.engine.jobs import CurvePoint, DivergedAdapter, TrainedAdapter
from tasks.engine.lora_file import LoraWeights
from tasks.engine.tenant import Tenant


@dataclasses.dataclass(frozen=True)
class Snapshots:
    """Where training's state goes: `write` is given the bytes after every `every` steps; `resume` are such bytes."""

    every: int
    write: Callable[[bytes], None]
    resume: bytes | None = None


def take_snapshot(cohort: Cohort) -> bytes:
    """The state between two steps."""
    bank, optimizer = cohort.bank, cohort.optimizer
    tensors = {"weights": bank.weights, "first": optimizer.first, "second": optimizer.second}
    for slot, tenant in cohort.tenants.items():
        tensors[f"generator.{slot}"] = tenant.generator.get_state()
        if tenant.losses:
            tensors[f"losses.{slot}"] = torch.stack(tenant.losses)
        if tenant.watch.row is not None:
            tensors[f"best.{slot}"] = tenant.watch.row
    outcomes = []
    for number, outcome in enumerate(cohort.outcomes.values()):
        outcomes.append(_plain(outcome))
        if isinstance(outcome, TrainedAdapter):
            for name, (a, b) in outcome.weights.modules.items():
                tensors[f"outcome.{number}.{name}.a"], tensors[f"outcome.{number}.{name}.b"] = a, b
            for encoder, rows in outcome.weights.tokens.items():
                tensors[f"outcome.{number}.{encoder}"] = rows
    state = {
        "fingerprint": _fingerprint(cohort),
        "slots": bank.slots,
        "queue": [job.adapter_id for job in cohort.queue],
        "done": cohort.done,
        "tenants": [_tenant(tenant) for tenant in cohort.tenants.values()],
        "outcomes": outcomes,
    }
    copies = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
    return save_tensors(copies, metadata={"packshot.snapshot": canonical_json(state)})


def slots_of(data: bytes) -> int:
    """How many slots the snapshot's bank has: a resumed cohort must have as many."""
    return int(_state(data)["slots"])


def resume(cohort: Cohort, data: bytes) -> None:
    """Puts a new cohort, of the same jobs and as many slots, where the snapshot was taken.

    Raises ValueError where the snapshot is of other jobs, another recipe or another resolution.
    """
    state, tensors = _state(data), load_tensors(data)
    if state["fingerprint"] != _fingerprint(cohort):
        raise ValueError("the training snapshot is of other jobs or another recipe; start without it")
    jobs = {job.adapter_id: job for job in cohort.jobs}
    cohort.queue = deque(jobs[adapter_id] for adapter_id in state["queue"])
    cohort.done = state["done"]
    for number, fields in enumerate(state["outcomes"]):
        cohort.outcomes[fields["adapter_id"]] = _outcome(fields, f"outcome.{number}.", tensors)
    with cohort.bank:
        for fields in state["tenants"]:
            tenant = cohort.enter(jobs[fields["adapter_id"]], fields["slot"])
            _settle(tenant, fields, tensors, cohort.base.device)
            cohort.tenants[tenant.slot] = tenant
    cohort.bank.weights.copy_(tensors["weights"])
    cohort.optimizer.first.copy_(tensors["first"])
    cohort.optimizer.second.copy_(tensors["second"])


def _settle(tenant: Tenant, fields: dict[str, Any], tensors: dict[str, Tensor], device: torch.device) -> None:
    """A tenant that has just entered, as it was at the snapshot."""
    tenant.step, tenant.gone, tenant.failed = fields["step"], fields["gone"], fields["failed"]
    tenant.loss_before = float(fields["loss_before"])
    tenant.generator.set_state(tensors[f"generator.{tenant.slot}"])
    tenant.losses = list(tensors.get(f"losses.{tenant.slot}", torch.empty(0)).to(device))
    best = tensors.get(f"best.{tenant.slot}")
    tenant.watch = Watch(_curve(fields), None if best is None else best.to(device))


def _state(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], "little")
    state = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["packshot.snapshot"])
    return {"queue": [], "tenants": [], "outcomes": [], **state}  # canonical JSON drops what is empty


def _fingerprint(cohort: Cohort) -> str:
    jobs = [[job.adapter_id, job.sku, job.instance, job.prior, job.steps, job.seed] for job in cohort.jobs]
    return content_id([jobs, cohort.recipe.model_dump(mode="json"), cohort.resolution])


def _tenant(tenant: Tenant) -> dict[str, Any]:
    return {
        "adapter_id": tenant.job.adapter_id,
        "slot": tenant.slot,
        "step": tenant.step,
        "gone": tenant.gone,
        "failed": tenant.failed,
        "loss_before": str(tenant.loss_before),
        "curve": tenant.watch.points,
    }


def _curve(fields: dict[str, Any]) -> list[CurvePoint]:
    return [CurvePoint(**point) for point in fields.get("curve", ())]


def _plain(outcome: TrainedAdapter | DivergedAdapter) -> dict[str, Any]:
    if isinstance(outcome, DivergedAdapter):
        return dataclasses.asdict(outcome)
    learned = outcome.weights
    weights = {
        "modules": list(learned.modules),
        "tokens": list(learned.tokens),
        "rank": learned.rank,
        "alpha": learned.alpha,
        "word": learned.word,
    }
    fields = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
    return fields | {"weights": weights}


def _outcome(fields: dict[str, Any], prefix: str, tensors: dict[str, Tensor]) -> TrainedAdapter | DivergedAdapter:
    if "weights" not in fields:
        return DivergedAdapter(**fields)
    weights = fields["weights"]
    names, encoders = weights.get("modules", ()), weights.get("tokens", ())
    modules = {name: (tensors[f"{prefix}{name}.a"], tensors[f"{prefix}{name}.b"]) for name in names}
    tokens = {encoder: tensors[f"{prefix}{encoder}"] for encoder in encoders}
    lora = LoraWeights(modules, weights["rank"], weights["alpha"], tokens, weights.get("word", ""))
    return TrainedAdapter(**fields | {"weights": lora, "curve": tuple(_curve(fields))})
