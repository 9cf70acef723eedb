"""The forward process that the checkpoint was trained with, and what its UNet learned to predict under it."""

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from tasks.engine.base_model import BaseModel


class NoiseSchedule:
    """DDPM's forward process (Ho et al. 2020, arXiv:2006.11239) over the checkpoint's own betas.

    It is read from the scheduler's configuration, never from the scheduler itself: that one may be a sampler, whose
    own `alphas_cumprod` is bent for sampling (Euler's never reaches a zero terminal signal).
    """

    def __init__(self, base: BaseModel) -> None:
        alphas = DDPMScheduler.from_config(base.pipeline.scheduler.config).alphas_cumprod.to(base.device)
        self.alphas = alphas.double() if base.dtype == torch.float64 else alphas.float()
        self.velocity = base.pipeline.scheduler.config.prediction_type == "v_prediction"

    def __len__(self) -> int:
        return len(self.alphas)

    def noised(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (rows, channels, h, w) with their noise at `timesteps` (rows,), and what the UNet should answer."""
        signal = self.alphas[timesteps].sqrt()[:, None, None, None]
        spread = (1 - self.alphas[timesteps]).sqrt()[:, None, None, None]
        return signal * latents + spread * noise, signal * noise - spread * latents if self.velocity else noise

    def min_snr(self, timesteps: Tensor, gamma: float) -> Tensor:
        """The loss weight of each timestep (Hang et al. 2023, arXiv:2303.09556, in the form of its equation 8).

        min(SNR, gamma) / SNR for noise, min(SNR, gamma) / (SNR + 1) for velocity. Without signal (SNR 0) the first is
        1, its limit.
        """
        ratio = self.alphas[timesteps] / (1 - self.alphas[timesteps])
        if self.velocity:
            return ratio.clamp(max=gamma) / (ratio + 1)
        return (gamma / ratio).clamp(max=1.0)
