"""The stage that a product stands on: light, ground, the wall or view behind it, and small props."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infra.demo.materials import noise
from infra.demo.specs import Part

VIEW = (6.4, 5.6, -1.6)  # width, height and lowest y of the painted view, in world units


@dataclass(frozen=True, slots=True)
class Light:
    """The key light: azimuth (0 in front, positive to the right) and elevation in radians, linear colour, softness."""

    azimuth: float
    elevation: float
    colour: tuple[float, float, float]
    softness: float = 0.25

    def direction(self) -> Tensor:
        """Unit vector towards the light."""
        c = np.cos(self.elevation)
        return torch.tensor(
            [c * np.sin(self.azimuth), np.sin(self.elevation), c * np.cos(self.azimuth)], dtype=torch.float32
        )

    def rgb(self) -> Tensor:
        """Its colour as a tensor (3,)."""
        return torch.tensor(self.colour)


@dataclass(frozen=True, slots=True)
class Ground:
    """A surface: its kind, two linear colours, the scale of its texture and where in the texture it lies."""

    kind: str
    base: tuple[float, float, float]
    detail: tuple[float, float, float]
    scale: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0


@dataclass(slots=True)
class Stage:
    """Everything around the product. `view` is the painted wall (3, h, w) in linear light at distance `far`.

    The ground ends at `depth` behind the product; `seamless` above 0 blends it into the wall like studio paper.
    `panes` above 0 makes the key light fall through a window with that many panes.
    """

    light: Light
    sky: tuple[float, float, float]
    surface: Ground
    view: Tensor
    far: float = 2.6
    depth: float = 1.6
    gloss: float = 0.0
    seamless: float = 0.0
    panes: float = 0.0
    pedestal_height: float = 0.0
    props: list[Part] = field(default_factory=list)

    def ambient(self, n: Tensor) -> Tensor:
        """Light from all around falling on surfaces with normals n (3, n): sky from above, the ground's glow below."""
        up = (n[1] * 0.5 + 0.5)[None]
        sky = torch.tensor(self.sky)[:, None]
        bounce = torch.tensor(self.surface.base)[:, None] * (sky * 0.5 + 0.25 * self.light.rgb()[:, None])
        return bounce + (sky - bounce) * up

    def surroundings(self, d: Tensor, roughness: float) -> Tensor:
        """What a reflection in direction d (3, n) sees: soft boxes, the sky and the ground."""
        soft = 0.06 + roughness * 0.6
        level = ((d[1] + 0.05) / (0.1 + soft) * 0.5 + 0.5).clamp(0, 1)
        low = torch.tensor(self.surface.base)[:, None] * 0.55
        high = torch.tensor(self.sky)[:, None] * (0.5 + 0.5 * d[1].clamp(0, 1))
        out = low + (high - low) * level
        key = self.light.rgb()[:, None]
        for turn, height, power in ((self.light.azimuth, 0.5, 1.5), (self.light.azimuth + 2.4, 0.35, 0.6)):
            across = torch.atan2(d[0], d[2]) - turn
            across = torch.remainder(across + torch.pi, 2 * torch.pi) - torch.pi
            inside = ((0.38 - across.abs()) / soft + 0.5).clamp(0, 1) * (
                (0.42 - (d[1] - height).abs()) / soft + 0.5
            ).clamp(0, 1)
            out = out + key * inside * power * (1 - 0.75 * roughness)
        return out

    def gobo(self, p: Tensor) -> Tensor:
        """How much key light passes the window on its way to ground points (3, n)."""
        if self.panes <= 0:
            return torch.ones_like(p[0])
        d = self.light.direction()
        side = p[0] * float(d[2]) - p[2] * float(d[0])
        along = (p[0] * float(d[0]) + p[2] * float(d[2])) * 0.8
        bars = _soft(0.44 - (torch.remainder(side * self.panes * 0.8 + 0.2, 1.0) - 0.5).abs(), 0.09)
        bars = bars * _soft(0.44 - (torch.remainder(along * self.panes * 0.8, 1.0) - 0.5).abs(), 0.09)
        return 0.12 + 0.88 * bars * _soft(1.15 - side.abs(), 0.2)

    def wall(self, o: Tensor, d: Tensor) -> Tensor:
        """The painted view where rays meet it, linear RGB (3, n)."""
        t = (-self.far - o[2]) / d[2].clamp_max(-1e-3)
        x, y = o[0] + d[0] * t, o[1] + d[1] * t
        width, height, low = VIEW
        grid = torch.stack([x / (width / 2), 1 - (y - low) / height * 2], -1)[None, None]
        return F.grid_sample(self.view[None], grid, align_corners=False, padding_mode="border")[0, :, 0]

    def ground(self, x: Tensor, z: Tensor) -> Tensor:
        """The ground's own colour at (x, z), linear RGB (3, n)."""
        g = self.surface
        c, s = float(np.cos(g.turn)), float(np.sin(g.turn))
        u = (x * c - z * s) / g.scale + g.offset[0]
        v = (x * s + z * c) / g.scale + g.offset[1]
        share, shade = TEXTURES[g.kind](u, v)
        fade = 1.0 / (1.0 + (-z - 1.0).clamp_min(0) * 0.35)
        base, detail = torch.tensor(g.base)[:, None], torch.tensor(g.detail)[:, None]
        return ((base + (detail - base) * (share * fade)) * (1 + (shade - 1) * fade)).clamp(0, 1)


def _soft(x: Tensor, width: float) -> Tensor:
    return (x / width + 0.5).clamp(0, 1)


Texture = tuple[Tensor, Tensor]
"""The share of the detail colour in [0, 1] and a brightness factor, for each ground point."""


def _plain(u: Tensor, v: Tensor) -> Texture:
    return torch.zeros_like(u), torch.ones_like(u)


def _wood(u: Tensor, v: Tensor) -> Texture:
    plank = torch.floor(v * 2.2)
    tone = torch.remainder(torch.sin(plank * 12.9898) * 43758.5, 1.0)
    shift = u + tone * 3.1
    grain = noise(shift * 0.12, v * 1.3 + 0.1 * noise(shift * 0.2, v * 0.3, 0), 1)
    fine = noise(shift * 0.25, v * 2.6, 2)
    gap = _soft(0.012 - (torch.remainder(v * 2.2, 1.0) - 0.5).abs() * -1 - 0.5, 0.02)
    return (0.4 + 0.35 * grain + 0.12 * fine).clamp(0, 1), (0.88 + 0.24 * tone) * (1 - 0.55 * gap.clamp(0, 1))


def _marble(u: Tensor, v: Tensor) -> Texture:
    warp = noise(u * 0.11, v * 0.11, 0) * 0.45 + noise(u * 0.12, v * 0.12, 1) * 0.08
    vein = (torch.sin((u * 0.7 + v * 0.5 + warp * 1.6) * 3.2)).abs()
    thin = (torch.sin((u * 0.3 - v * 0.9 + warp * 2.1) * 4.1)).abs()
    return (0.6 * _soft(0.08 - vein, 0.5) + 0.35 * _soft(0.03 - thin, 0.2)).clamp(0, 1), 1 + 0.05 * warp


def _concrete(u: Tensor, v: Tensor) -> Texture:
    cloud, grit = noise(u * 0.2, v * 0.2, 0), noise(u * 0.5, v * 0.5, 2)
    return (0.4 + 0.3 * cloud).clamp(0, 1), 1 + 0.07 * grit + 0.05 * noise(u * 0.4, v * 0.4, 1)


def _sand(u: Tensor, v: Tensor) -> Texture:
    ripple = torch.sin((v * 1.4 + 0.45 * noise(u * 0.25, v * 0.2, 0)) * 9)
    return (0.45 + 0.25 * ripple).clamp(0, 1), 1 + 0.12 * noise(u * 0.9, v * 0.9, 2)


def _grass(u: Tensor, v: Tensor) -> Texture:
    blades = noise(u * 0.75, v * 0.3, 2)
    return (0.45 + 0.4 * blades + 0.25 * noise(u * 0.3, v * 0.3, 1)).clamp(0, 1), 1 + 0.3 * noise(u * 1.1, v * 0.5, 2)


def _snow(u: Tensor, v: Tensor) -> Texture:
    drift = noise(u * 0.2, v * 0.2, 1)
    return (0.3 + 0.5 * drift).clamp(0, 1), 1 + 0.03 * noise(u, v, 2)


def _linen(u: Tensor, v: Tensor) -> Texture:
    fold = noise(u * 0.16 + v * 0.05, v * 0.1, 1)
    weave = torch.sin(u * 95) * torch.sin(v * 95)
    return (0.35 + 0.5 * fold).clamp(0, 1), 1 + 0.06 * weave + 0.16 * fold


def _tiles(u: Tensor, v: Tensor) -> Texture:
    a, b = torch.remainder(u * 1.5, 1.0) - 0.5, torch.remainder(v * 1.5, 1.0) - 0.5
    grout = _soft(torch.maximum(a.abs(), b.abs()) - 0.465, 0.025)
    return grout, 1 + 0.04 * noise(torch.floor(u * 1.5) * 0.37, torch.floor(v * 1.5) * 0.53, 2)


def _terrazzo(u: Tensor, v: Tensor) -> Texture:
    chips = noise(u * 0.42, v * 0.42, 2)
    return _soft(chips - 0.75, 0.15), 1 - 0.4 * _soft(-chips - 0.9, 0.15)


def _stone(u: Tensor, v: Tensor) -> Texture:
    return (0.5 + 0.4 * noise(u * 0.3, v * 0.3, 1)).clamp(0, 1), 1 + 0.16 * noise(u * 0.8, v * 0.8, 2)


def _leaves(u: Tensor, v: Tensor) -> Texture:
    _, tone = _wood(u, v)
    leaf = torch.maximum(noise(u * 0.3, v * 0.3, 1), noise(u * 0.3 + 0.4, v * 0.3 + 0.1, 1) - 0.15)
    return _soft(leaf - 0.85, 0.06), tone * (1 + 0.15 * noise(u * 0.8, v * 0.8, 2))


def _checked(u: Tensor, v: Tensor) -> Texture:
    a = (torch.remainder(u * 1.6, 1.0) > 0.5).float()
    b = (torch.remainder(v * 1.6, 1.0) > 0.5).float()
    return (a + b) / 2, 1 + 0.04 * torch.sin(u * 90) * torch.sin(v * 90)


TEXTURES = {
    "plain": _plain, "wood": _wood, "marble": _marble, "concrete": _concrete, "sand": _sand, "grass": _grass,
    "snow": _snow, "linen": _linen, "tiles": _tiles, "terrazzo": _terrazzo, "stone": _stone, "leaves": _leaves,
    "checked": _checked,
}  # fmt: skip
"""Ground textures by name."""
