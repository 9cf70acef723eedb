"""A continuous cohort: as many SKUs at a time as the bank has slots; who leaves makes room for the next."""

import logging
import math
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from configs.training import TrainingConfig
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, encode_prompt
from tasks.engine.crops import EncodedCrops, encode_class_images, encode_crops
from tasks.engine.evaluation import Evaluation, best_of
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
from tasks.engine.methods import new_bank, token_rate, tokens_of
from tasks.engine.objective import Objective
from tasks.engine.rendering import Reader, Texts, draw_batch, scheduled
from tasks.engine.slot_optimizer import SlotAdamW
from tasks.engine.tenant import Tenant
from tasks.engine.text import first_rows, tokenize
from tasks.engine.transfer import to_device

CHECK_EVERY = 25  # steps between looks at the losses, each of which waits for the device
logger = logging.getLogger(__name__)


class Cohort:
    """One run over `jobs`.

    `outcomes`, by adapter id, is filled as SKUs leave; those that it names at the start are not trained. `unet` is the
    base model's UNet compiled: then the batch keeps one shape to the end, so that one graph serves it. `after_step` is
    called between two steps, when all state is at rest: `done` steps of `total` over all jobs are then behind it.
    """

    def __init__(
        self,
        base: BaseModel,
        jobs: list[TrainingJob],
        recipe: TrainingConfig,
        resolution: int,
        slots: int,
        outcomes: dict[str, Outcome],
        unet: Callable[..., Any] | None = None,
        after_step: "Callable[[Cohort], None]" = lambda cohort: None,
        evaluation: Evaluation | None = None,
    ) -> None:
        self.base, self.jobs, self.recipe, self.resolution = base, jobs, recipe, resolution
        self.outcomes, self.after_step, self.evaluation = outcomes, after_step, evaluation
        waiting = [job for job in jobs if job.adapter_id not in outcomes]
        self.queue = deque(sorted(waiting, key=lambda job: -job.steps))  # the longest first: all end close together
        self.bank = new_bank(base, recipe, min(slots, len(waiting)))
        self.optimizer = SlotAdamW(
            self.bank.weights,
            self.bank.gradients,
            recipe.weight_decay,
            recipe.gradient_clip,
            self.bank.groups(token_rate(recipe)),
        )
        self.objective = Objective(base, self.bank, recipe, unet)
        self.loss_scale = HALF_SCALE if base.dtype == torch.float16 else 1.0
        self.static = unet is not None  # a compiled graph serves one shape of batch
        self.tenants: dict[int, Tenant] = {}
        self.texts: dict[str, Conditioning] = {}
        self.rehearsals: dict[str, EncodedCrops] = {}
        self.total = sum(job.steps for job in jobs)
        self.done = self.total - sum(job.steps for job in waiting)

    def run(self) -> None:
        """Trains until every job has its outcome."""
        started = time.perf_counter()
        with self.bank:
            while self.queue or any(not tenant.gone for tenant in self.tenants.values()):
                self._admit()
                self._shrink()
                self._step()
                self._dismiss()
                self.after_step(self)
        logger.info("trained %d SKUs in %.1f s", len(self.jobs), time.perf_counter() - started)

    def _admit(self) -> None:
        """Free slots take the next jobs."""
        for slot in range(self.bank.slots):
            if self.queue and (slot not in self.tenants or self.tenants[slot].gone):
                self.tenants[slot] = self.enter(self.queue.popleft(), slot)

    def enter(self, job: TrainingJob, slot: int) -> Tenant:
        """A job in a slot, before its first step."""
        recipe, generator = self.recipe, torch.Generator().manual_seed(job.seed)
        count = tokens_of(recipe)
        self.bank.initialise(slot, generator, first_rows(self.base, job.prior, count) if count else ())
        if job.start is not None:
            self.bank.warm_start(slot, job.start, recipe.alpha / recipe.rank)
        self.optimizer.reset(slot)
        crops = encode_crops(
            self.base, job.photos, self.resolution, recipe.crops, recipe.flip, recipe.background_weight, generator
        )
        rehearsal = self._class_images(job) if recipe.prior_images else None
        tenant = Tenant(job, slot, generator, crops, self._text(job.instance), self._text(job.prior), rehearsal)
        if self.bank.trains_text:
            tenant.prompts = tokenize(self.base, job.instance, recipe.token, count), tokenize(self.base, job.prior)
        tenant.loss_before = self.objective.probe(tenant)
        return tenant

    def _text(self, prompt: str) -> Conditioning:
        """The base model's embeddings of a prompt, computed once: SKUs of a class share their prior's."""
        if prompt not in self.texts:
            with self.bank.disabled():
                self.texts[prompt] = encode_prompt(self.base, prompt)
        return self.texts[prompt]

    def _class_images(self, job: TrainingJob) -> EncodedCrops:
        """The class images of a prior prompt, encoded once for all its SKUs."""
        if job.prior not in self.rehearsals:
            assert job.class_images, f"SKU {job.sku}: the recipe has prior_images, the job has none"
            self.rehearsals[job.prior] = encode_class_images(self.base, job.class_images, self.resolution)
        return self.rehearsals[job.prior]

    def _shrink(self) -> None:
        """The rows of those who are gone, and whose slots nobody else has taken, leave the batch."""
        if not self.static:
            self.tenants = {slot: tenant for slot, tenant in self.tenants.items() if tenant.reserved}

    def _step(self) -> None:
        """One forward and backward pass of all tenants, each in its own rows."""
        tenants = [self.tenants[slot] for slot in sorted(self.tenants)]
        everyone = len(tenants) == self.bank.slots
        slots = None if everyone else to_device(torch.tensor(sorted(self.tenants)), self.base.device)
        self.bank.gradients.zero_()
        with self.bank.routed(slots), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="grad and param do not obey")  # the rows are strided by design
            losses = self.objective.losses(tenants)
            (losses.sum() * self.loss_scale).backward()  # routed too: where memory is short it computes forward again
        if self.loss_scale != 1.0:
            self.bank.gradients.div_(self.loss_scale)
        rates, counts = [0.0] * self.bank.slots, [1] * self.bank.slots
        for tenant, loss in zip(tenants, losses.detach().unbind(), strict=True):
            tenant.step += 1
            if not tenant.gone:
                tenant.losses.append(loss)
                rates[tenant.slot], counts[tenant.slot] = (
                    rate_at(self.recipe, tenant.step, tenant.job.steps),
                    tenant.step,
                )
                self.done += 1
        self.optimizer.step(rates, counts)

    def _dismiss(self) -> None:
        """Tenants that have diverged, have stopped gaining or are at their end leave."""
        fine = [tenant for tenant in self.tenants.values() if not tenant.gone and self._is_fine(tenant)]
        for tenant in self._look(fine):
            tenant.gone = True
        for tenant in fine:
            if tenant.gone or tenant.step == tenant.job.steps:
                self._leave(tenant, self._trained(tenant))

    def _is_fine(self, tenant: Tenant) -> bool:
        """Whether the SKU may go on: checks its losses at intervals, and dismisses it where one is not finite.

        A large loss alone says little: it depends on the timestep, and includes the prior's share.
        """
        if not (tenant.step == tenant.job.steps or tenant.step % CHECK_EVERY == 0 or self._looks_at(tenant)):
            return True
        recent = float(torch.stack(tenant.losses).mean()) if tenant.losses else 0.0
        tenant.losses.clear()
        if not math.isfinite(recent):
            self._leave(tenant, self._diverged(tenant, recent))
        return not tenant.gone

    def _looks_at(self, tenant: Tenant) -> bool:
        last = tenant.step == tenant.job.steps
        return self.evaluation is not None and (last or tenant.step % self.evaluation.every == 0)

    def _look(self, tenants: list[Tenant]) -> list[Tenant]:
        """Draws and scores the images of the tenants that are due; returns those that are done."""
        evaluation, done = self.evaluation, []
        due = [tenant for tenant in tenants if self._looks_at(tenant)]
        if evaluation is None or not due:
            return []
        wanted = [(tenant, request) for tenant in due for request in evaluation.requests(tenant.job)]
        images: list[NDArray[np.uint8] | None] = []
        with scheduled(self.base, evaluation.settings.scheduler):
            texts = Texts(self.base)
            for start in range(0, len(wanted), evaluation.batch_size):
                chunk = wanted[start : start + evaluation.batch_size]
                readers, requests = [self._reader(tenant) for tenant, _ in chunk], [request for _, request in chunk]
                images += draw_batch(self.base, self.bank, readers, requests, evaluation.settings, texts)
        for tenant in due:
            own = [image for image, (owner, _) in zip(images, wanted, strict=True) if owner is tenant]
            score = evaluation.score(tenant.job, own)
            if tenant.watch.add(tenant.step, score, self.bank.weights[tenant.slot], evaluation):
                done.append(tenant)
        return done

    def _reader(self, tenant: Tenant) -> Reader:
        if not self.bank.trains_text:
            return Reader(tenant.slot)
        return Reader(tenant.slot, tenant.job.adapter_id, self.recipe.token, tokens_of(self.recipe))

    def _leave(self, tenant: Tenant, outcome: Outcome) -> None:
        self.outcomes[tenant.job.adapter_id] = outcome
        self.done += tenant.job.steps - tenant.step
        self.bank.clear(tenant.slot)
        tenant.gone, tenant.failed = True, isinstance(outcome, DivergedAdapter)

    def _trained(self, tenant: Tenant) -> Outcome:
        curve, steps = tuple(tenant.watch.points), tenant.step
        if self.evaluation is not None:
            assert tenant.watch.row is not None
            steps = best_of(tenant.watch.points, self.evaluation).step
            self.bank.weights[tenant.slot].copy_(tenant.watch.row)
        after = self.objective.probe(tenant)
        if not after < RUNAWAY * tenant.loss_before:  # nor is a loss that is not finite
            return self._diverged(tenant, after)
        weights = self.bank.save(tenant.slot, self.recipe.rank, self.recipe.alpha, self.recipe.token)
        job = tenant.job
        return TrainedAdapter(job.adapter_id, job.sku, weights, steps, tenant.loss_before, after, curve)

    def _diverged(self, tenant: Tenant, loss: float) -> DivergedAdapter:
        return diverged(tenant.job, tenant.step, loss, tenant.loss_before, self.recipe.learning_rate)
