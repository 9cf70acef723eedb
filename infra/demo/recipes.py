"""What a training run is told: sizes, batches and how a budget of minutes is shared among the stages."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train the demo model. `shares` divides the budget among the stages; the data set comes first."""

    photographs: int
    vae_channels: tuple[int, ...]
    vae_batch: int
    clip_width: int
    clip_layers: int
    clip_batch: int
    unet_channels: tuple[int, ...]
    unet_batch: int
    learning_rate: float
    workers: int  # processes that photograph
    threads: int  # that share a training batch
    shares: tuple[tuple[str, float], ...]
    size: int = 128

    def minutes(self, stage: str, budget: float, later: bool = False) -> float:
        """The part of a budget in minutes that a stage gets, among all or `LATER` alone."""
        shares = {name: share for name, share in self.shares if not later or name in LATER}
        return budget * shares[stage] / sum(shares.values())


LATER = ("classifier", "unet", "controlnet")
"""The stages of a run that goes on from a finished model."""

_SHARES = (("vae", 0.12), ("decoder", 0.1), ("clip", 0.08), ("classifier", 0.03), ("unet", 0.57), ("controlnet", 0.1))

_GPU_SHARES = (
    ("vae", 0.15),
    ("decoder", 0.06),
    ("clip", 0.12),
    ("classifier", 0.03),
    ("unet", 0.56),
    ("controlnet", 0.08),
)

RECIPES = {
    "cpu": Recipe(9_216, (16, 32, 64), 8, 192, 4, 128, (32, 96, 192, 224), 16, 6e-4, 2, 2, _SHARES),
    "gpu": Recipe(10_240, (32, 48, 80), 64, 192, 4, 512, (64, 96, 192, 208), 512, 1e-3, 16, 1, _GPU_SHARES),
    "tiny": Recipe(48, (16, 32, 32), 8, 64, 2, 32, (32, 64, 64), 16, 1e-3, 2, 2, _SHARES, 64),
}
"""`cpu`: hours on two cores. `gpu`: what ships, 4.6 minutes on an H200. `tiny`: proves the script in a minute."""
