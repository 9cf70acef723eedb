"""Fine-tunes many SKUs at once: DreamBooth-style LoRA (Ruiz et al. 2023, arXiv:2208.12242) in the slots of a bank.

Everything random about a SKU comes from its own generator, and everything summed is summed per SKU, so that an
adapter does not depend on its neighbours. A SKU that is done, or that has diverged, frees its slot for the next.
"""

import logging
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from configs.schema import TrainingConfig
from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import BaseModel
from tasks.engine.conditioning import Conditioning, concatenate, encode_prompts, predict
from tasks.engine.crops import EncodedCrops, TrainingPhoto, encode_crops
from tasks.engine.lora_file import LoraWeights
from tasks.engine.slot_optimizer import SlotAdamW

TRAINER_VERSION = 1  # part of an adapter's identity: raise it when the same recipe would give other weights
CHECK_EVERY = 25  # steps between looks at the losses, each of which waits for the device
PROBES = 8  # fixed crops, timesteps and noises on which a SKU's loss is measured before and after
logger = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class TrainingJob:
    """One SKU to learn. `seed` decides its crops, noises and timesteps; `instance` and `prior` are its prompts."""

    adapter_id: str
    sku: str
    instance: str
    prior: str
    photos: tuple[TrainingPhoto, ...]
    steps: int
    seed: int


@dataclass(frozen=True)
class TrainedAdapter:
    """What was learned, and the loss on the SKU's fixed probes without and with it."""

    adapter_id: str
    sku: str
    weights: LoraWeights
    steps: int
    loss_before: float
    loss_after: float


@dataclass(frozen=True)
class DivergedAdapter:
    """A SKU whose loss became NaN or infinite; its neighbours are as if it had never been there."""

    adapter_id: str
    sku: str
    detail: str


Outcome = TrainedAdapter | DivergedAdapter


@dataclass
class _Tenant:
    """A job in its slot: its own randomness, its inputs, and how far it has come."""

    job: TrainingJob
    slot: int
    generator: torch.Generator
    crops: EncodedCrops
    text: Conditioning
    prior: Conditioning
    loss_before: float
    step: int = 0
    losses: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class _Draw:
    """One step's inputs of one SKU: clean latents, noise, timesteps and loss weights, a row per photo."""

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    weight: Tensor


def steps_for(photos: int, recipe: TrainingConfig) -> int:
    """Training steps for a number of photos."""
    return min(max(photos * recipe.steps_per_photo, recipe.steps_minimum), recipe.steps_maximum)


def train_cohort(
    base: BaseModel, jobs: list[TrainingJob], recipe: TrainingConfig, resolution: int, slots: int, progress: Progress
) -> list[Outcome]:
    """Trains all jobs, at most `slots` at a time, and returns one outcome per job, in their order.

    `progress(done, total)` counts steps over all jobs. When the device has too little memory, the number of slots is
    halved and the jobs begin again; with one slot left torch.OutOfMemoryError is raised.
    """
    with base.lock:
        while True:
            try:
                return _Cohort(base, jobs, recipe, resolution, min(slots, len(jobs)), progress).run()
            except torch.OutOfMemoryError:
                if slots == 1:
                    raise
                slots = max(1, min(slots, len(jobs)) // 2)
                torch.cuda.empty_cache()
                logger.warning("out of memory: training again with %d SKUs at a time", slots)


class _Cohort:
    def __init__(
        self,
        base: BaseModel,
        jobs: list[TrainingJob],
        recipe: TrainingConfig,
        resolution: int,
        slots: int,
        progress: Progress,
    ) -> None:
        self.base, self.jobs, self.recipe, self.resolution, self.progress = base, jobs, recipe, resolution, progress
        self.bank = AdapterBank(base.unet, slots, recipe.rank, recipe.targets)
        self.bank.route.scale.fill_(recipe.alpha / recipe.rank)
        self.optimizer = SlotAdamW(self.bank.weights, self.bank.gradients, recipe.weight_decay, recipe.gradient_clip)
        self.queue = deque(jobs)
        self.tenants: dict[int, _Tenant] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.total = sum(job.steps for job in jobs)
        self.done = 0
        alphas = base.pipeline.scheduler.alphas_cumprod.to(base.device)
        self.alphas = alphas.double() if base.dtype == torch.float64 else alphas.float()

    def run(self) -> list[Outcome]:
        started = time.perf_counter()
        with self.bank:
            while self.queue or self.tenants:
                self._admit()
                self._step()
                self._dismiss()
        logger.info("trained %d SKUs in %.1f s", len(self.jobs), time.perf_counter() - started)
        return [self.outcomes[job.adapter_id] for job in self.jobs]

    def _admit(self) -> None:
        """Free slots take the next jobs."""
        for slot in range(self.bank.slots):
            if slot in self.tenants or not self.queue:
                continue
            job, recipe = self.queue.popleft(), self.recipe
            generator = torch.Generator().manual_seed(job.seed)
            self.bank.initialise(slot, generator)
            self.optimizer.reset(slot)
            crops = encode_crops(
                self.base, job.photos, self.resolution, recipe.crops, recipe.flip, recipe.background_weight, generator
            )
            text, prior = encode_prompts(self.base, [job.instance]), encode_prompts(self.base, [job.prior])
            tenant = _Tenant(job, slot, generator, crops, text, prior, 0.0)
            tenant.loss_before = self._probe(tenant)
            self.tenants[slot] = tenant

    def _step(self) -> None:
        """One forward and backward pass of all tenants, each in its own rows."""
        tenants = [self.tenants[slot] for slot in sorted(self.tenants)]
        draws = [self._draw(tenant, self.recipe.batch_size) for tenant in tenants]
        with self.bank.routed(self._rows(tenants)):
            losses = self._losses(tenants, draws)
        self.bank.gradients.zero_()
        with warnings.catch_warnings():  # rows of the bank are strided by design; torch remarks on it once
            warnings.filterwarnings("ignore", message="grad and param do not obey")
            losses.sum().backward()
        rates, counts = [0.0] * self.bank.slots, [1] * self.bank.slots
        for tenant, loss in zip(tenants, losses.detach().unbind(), strict=True):
            tenant.step += 1
            tenant.losses.append(loss)
            warm = min(1.0, tenant.step / self.recipe.warmup_steps) if self.recipe.warmup_steps else 1.0
            rates[tenant.slot], counts[tenant.slot] = self.recipe.learning_rate * warm, tenant.step
        as_rows = {"dtype": self.bank.weights.dtype, "device": self.bank.weights.device}
        self.optimizer.step(torch.tensor(rates, **as_rows), torch.tensor(counts, **as_rows))
        self.done += len(tenants)
        self.progress(self.done, self.total)

    def _dismiss(self) -> None:
        """Tenants that are done or have diverged leave."""
        for slot, tenant in list(self.tenants.items()):
            last = tenant.step == tenant.job.steps
            if not last and tenant.step % CHECK_EVERY:
                continue
            recent = torch.stack(tenant.losses)
            tenant.losses.clear()
            if not bool(recent.isfinite().all()):
                self._leave(tenant, self._diverged(tenant))
            elif last:
                self._leave(tenant, self._trained(tenant))
        assert all(slot < self.bank.slots for slot in self.tenants)

    def _leave(self, tenant: _Tenant, outcome: Outcome) -> None:
        self.outcomes[tenant.job.adapter_id] = outcome
        self.done += tenant.job.steps - tenant.step
        self.bank.clear(tenant.slot)
        del self.tenants[tenant.slot]

    def _trained(self, tenant: _Tenant) -> Outcome:
        after = self._probe(tenant)
        if not math.isfinite(after):
            return self._diverged(tenant)
        weights = self.bank.save(tenant.slot, self.recipe.rank, self.recipe.alpha)
        job = tenant.job
        return TrainedAdapter(job.adapter_id, job.sku, weights, tenant.step, tenant.loss_before, after)

    def _diverged(self, tenant: _Tenant) -> DivergedAdapter:
        detail = (
            f"SKU {tenant.job.sku}: the training loss was not finite by step {tenant.step} of {tenant.job.steps}; "
            f"expected a finite loss; try a lower training.learning_rate than {self.recipe.learning_rate}"
        )
        return DivergedAdapter(tenant.job.adapter_id, tenant.job.sku, detail)

    def _rows(self, tenants: Iterable[_Tenant]) -> Tensor | None:
        slots = [tenant.slot for tenant in tenants]
        return None if len(slots) == self.bank.slots else torch.tensor(slots, device=self.base.device)

    def _draw(self, tenant: _Tenant, rows: int) -> _Draw:
        """The SKU's next inputs, from its own generator on the CPU, so that every device sees the same."""
        mean, generator = tenant.crops.mean, tenant.generator
        shape = (rows, *mean.shape[1:])
        index = torch.randint(len(mean), (rows,), generator=generator)
        timesteps = torch.randint(len(self.alphas), (rows,), generator=generator)
        noise, posterior = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
        latents, weight = tenant.crops.sample(index.to(mean.device), posterior.to(mean))
        return _Draw(latents, noise.to(mean), timesteps.to(mean.device), weight)

    def _losses(self, tenants: list[_Tenant], draws: list[_Draw]) -> Tensor:
        """One loss per tenant (tenants,): the masked, min-SNR weighted denoising error, plus the prior's."""
        rows = len(draws[0].timesteps)
        noisy, target, weight, timesteps = self._inputs(draws)
        text = concatenate([tenant.text for tenant in tenants]).repeat_each(rows)
        if not self.recipe.prior_weight:
            error = self._error(predict(self.base, noisy, timesteps, text), target, weight, timesteps)
            return error.unflatten(0, (-1, rows)).mean(1)
        prior = concatenate([tenant.prior for tenant in tenants]).repeat_each(rows)
        with torch.no_grad(), self.bank.disabled():
            anchor = predict(self.base, noisy, timesteps, prior)
        both = concatenate([_interleave(text, prior, rows)])
        doubled = noisy.unflatten(0, (-1, rows)).repeat(1, 2, 1, 1, 1).flatten(0, 1)
        times = timesteps.unflatten(0, (-1, rows)).repeat(1, 2).flatten()
        learned, kept = predict(self.base, doubled, times, both).unflatten(0, (-1, 2, rows)).unbind(1)
        error = self._error(learned.flatten(0, 1), target, weight, timesteps)
        drift = self._error(kept.flatten(0, 1), anchor, torch.ones_like(weight), timesteps)
        return (error + self.recipe.prior_weight * drift).unflatten(0, (-1, rows)).mean(1)

    def _inputs(self, draws: list[_Draw]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy latents, the prediction's target, loss weights and timesteps of all draws, row after row."""
        latents, noise = torch.cat([d.latents for d in draws]), torch.cat([d.noise for d in draws])
        timesteps, weight = torch.cat([d.timesteps for d in draws]), torch.cat([d.weight for d in draws])
        signal = self.alphas[timesteps].sqrt()[:, None, None, None]
        spread = (1 - self.alphas[timesteps]).sqrt()[:, None, None, None]
        noisy = signal * latents + spread * noise
        target = signal * noise - spread * latents if self._velocity else noise
        return noisy.to(self.base.dtype), target, weight, timesteps

    @property
    def _velocity(self) -> bool:
        return bool(self.base.pipeline.scheduler.config.prediction_type == "v_prediction")

    def _error(self, prediction: Tensor, target: Tensor, weight: Tensor, timesteps: Tensor) -> Tensor:
        """Squared error of each row, weighted by place, and by time with min-SNR (Hang et al. 2023, arXiv:2303.09556)."""
        error = ((prediction.to(target.dtype) - target.to(weight.dtype)) ** 2 * weight).mean((1, 2, 3))
        if not self.recipe.snr_gamma:
            return error
        ratio = self.alphas[timesteps] / (1 - self.alphas[timesteps])
        capped = ratio.clamp(max=self.recipe.snr_gamma)
        return error * (capped / (ratio + 1) if self._velocity else capped / ratio)

    @torch.no_grad()
    def _probe(self, tenant: _Tenant) -> float:
        """The SKU's loss on fixed inputs, without the prior's share."""
        fixed = torch.Generator().manual_seed(0)
        own, tenant.generator = tenant.generator, fixed
        draw = self._draw(tenant, PROBES)
        tenant.generator = own
        spaced = torch.linspace(0.05, 0.95, PROBES) * (len(self.alphas) - 1)
        draw = _Draw(draw.latents, draw.noise, spaced.long().to(draw.latents.device), draw.weight)
        noisy, target, weight, timesteps = self._inputs([draw])
        with self.bank.routed(torch.tensor([tenant.slot], device=self.base.device)):
            prediction = predict(self.base, noisy, timesteps, tenant.text.repeat_each(PROBES))
        return float(self._error(prediction, target, weight, timesteps).mean())


def _interleave(text: Conditioning, prior: Conditioning, rows: int) -> Conditioning:
    """Per tenant `rows` rows of its text, then `rows` rows of its prior."""

    def join(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a.unflatten(0, (-1, rows)), b.unflatten(0, (-1, rows))], 1).flatten(0, 1)

    pooled = None if text.pooled is None or prior.pooled is None else join(text.pooled, prior.pooled)
    return Conditioning(join(text.embeds, prior.embeds), pooled)
