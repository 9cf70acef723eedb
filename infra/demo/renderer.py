"""Photographs solid parts on a stage: sphere tracing, soft shadows, occlusion, reflections and glass, in plain torch.

Rays are traced only inside the product's bounding box and dropped as soon as they end, everything runs at twice the
asked size and is averaged down, and the mask is the exact share of each pixel that the product covers.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infra.demo.materials import FINISHES, albedo
from infra.demo.specs import Part
from infra.demo.stage import Light, Stage

FOV = 0.42  # of the frame's height, in radians: a short telephoto lens, as product photographers use
FAR = 1e3
SUPERSAMPLE = 2


@dataclass(frozen=True, slots=True)
class Pose:
    """The product's turn and the camera: yaw and pitch in radians, the share of the frame it fills, and its offset.

    `shift` moves the product in the frame, as shares of the frame's side (right, up).
    """

    yaw: float = 0.0
    pitch: float = 0.28
    fill: float = 0.6
    shift: tuple[float, float] = (0.0, 0.0)


class Solid:
    """Parts on the ground, turned by a yaw and lifted, with their bounding box in world coordinates."""

    def __init__(
        self, parts: list[Part], yaw: float = 0.0, lift: float = 0.0, at: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.parts, self.lift, self.at = parts, lift, at
        self.cos, self.sin = float(np.cos(yaw)), float(np.sin(yaw))
        self.low, self.high = self._bounds()

    def local(self, p: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """World points (3, n) in the product's own coordinates."""
        x, z = p[0] - self.at[0], p[2] - self.at[1]
        return x * self.cos - z * self.sin, p[1] - self.lift, x * self.sin + z * self.cos

    def distance(self, p: Tensor) -> Tensor:
        """Signed distance of world points (3, n)."""
        x, y, z = self.local(p)
        total = self.parts[0].shape(x, y, z)
        for part in self.parts[1:]:
            total = torch.minimum(total, part.shape(x, y, z))
        return total

    def nearest(self, p: Tensor) -> Tensor:
        """Index of the part nearest to each world point."""
        x, y, z = self.local(p)
        return torch.stack([part.shape(x, y, z) for part in self.parts]).argmin(0)

    def _bounds(self) -> tuple[Tensor, Tensor]:
        steps = [torch.linspace(-1.3, 1.3, 28), torch.linspace(0.0, 1.9, 24), torch.linspace(-1.3, 1.3, 28)]
        grid = torch.stack(torch.meshgrid(*steps, indexing="ij")).reshape(3, -1)
        world = grid + torch.tensor([self.at[0], self.lift, self.at[1]])[:, None]
        near = world[:, self.distance(world) < 0.07]
        return near.amin(1) - 0.07, near.amax(1) + 0.07


def _box_span(o: Tensor, d: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays o + t d (3, n) enter and leave a box; enter >= leave where they miss it."""
    inverse = 1.0 / torch.where(d.abs() < 1e-6, torch.full_like(d, 1e-6), d)
    a, b = (low[:, None] - o) * inverse, (high[:, None] - o) * inverse
    return torch.minimum(a, b).amax(0).clamp_min(0.0), torch.maximum(a, b).amin(0)


def trace(solid: Solid, o: Tensor, d: Tensor, steps: int = 56) -> Tensor:
    """Distance along each ray to the solid's surface, `FAR` where it misses."""
    enter, leave = _box_span(o, d, solid.low, solid.high)
    found = torch.full_like(enter, FAR)
    live = torch.nonzero(enter < leave)[:, 0]
    t, o, d, leave = enter[live], o[:, live], d[:, live], leave[live]
    for step in range(steps):
        gap = solid.distance(o + d * t)
        t = t + gap
        done = gap.abs() < 0.0012
        found[live[done]] = t[done]
        if step % 3 == 2:
            keep = torch.nonzero(~done & (t < leave))[:, 0]
            if not len(keep):
                return found
            live, t, o, d, leave = live[keep], t[keep], o[:, keep], d[:, keep], leave[keep]
    return found


def shadow(solid: Solid, p: Tensor, light: Light, steps: int = 20) -> Tensor:
    """How much of the key light reaches world points (3, n), in [0, 1], with penumbrae as wide as the light is soft."""
    direction = light.direction()[:, None].expand_as(p)
    grow = 0.25 + light.softness
    enter, leave = _box_span(p, direction, solid.low - grow, solid.high + grow)
    seen = torch.ones_like(enter)
    live = torch.nonzero(enter < leave)[:, 0]
    t, p, direction, leave = enter[live].clamp_min(0.02), p[:, live], direction[:, live], leave[live]
    best = torch.ones_like(t)
    for step in range(steps):
        gap = solid.distance(p + direction * t)
        best = torch.minimum(best, 0.5 + 0.5 * gap / (light.softness * t))
        t = t + gap.clamp(0.03, 0.3)
        if step % 4 == 3:
            seen[live] = best
            keep = torch.nonzero((best > 0.01) & (t < leave))[:, 0]
            live, t, best, leave = live[keep], t[keep], best[keep], leave[keep]
            p, direction = p[:, keep], direction[:, keep]
    seen[live] = best
    seen = seen.clamp(0, 1)
    return seen * seen * (3 - 2 * seen)


def occlusion(solid: Solid, p: Tensor, n: Tensor, reach: float = 0.42) -> Tensor:
    """Ambient light left at surface points with normals n, in [0, 1]."""
    taken = torch.zeros_like(p[0])
    for i, share in enumerate((0.12, 0.35, 0.75)):
        height = reach * share
        taken += (height - solid.distance(p + n * height)).clamp_min(0) / height * (0.55, 0.3, 0.25)[i]
    return (1 - taken).clamp(0.08, 1)


def _normals(solid: Solid, p: Tensor) -> Tensor:
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    total = torch.zeros_like(p)
    for corner in corners:
        total += corner[:, None] * solid.distance(p + corner[:, None] * 0.003)
    return F.normalize(total, dim=0)


def _shade(solid: Solid, stage: Stage, p: Tensor, d: Tensor, behind: Tensor, uv: Tensor) -> Tensor:
    """Outgoing light at the solid's surface points, linear RGB (3, n)."""
    n = _normals(solid, p)
    n = torch.where((n * d).sum(0) > 0, -n, n)
    raised = p + n * 0.012
    key = stage.light.direction()[:, None]
    lit = shadow(solid, raised, stage.light)
    open_ = occlusion(solid, p, n)
    ndl = ((n * key).sum(0) * 0.9 + 0.1).clamp_min(0)
    ndv = -(n * d).sum(0)
    mirror = d + 2 * ndv * n
    half = F.normalize(key - d, dim=0)
    ndh = (n * half).sum(0).clamp(0, 1)
    fill = 0.3 * ndv.clamp_min(0) * (0.3 + 0.7 * open_)  # a reflector beside the camera
    diffuse = stage.light.rgb()[:, None] * (ndl * lit + fill) + stage.ambient(n) * open_
    which, local = solid.nearest(p), solid.local(p)
    out = torch.zeros_like(p)
    for index, part in enumerate(solid.parts):
        rows = torch.nonzero(which == index)[:, 0]
        if not len(rows):
            continue
        finish = FINISHES[part.material.finish]
        colour = albedo(part.material, *(c[rows] for c in local)).clamp(0, 1)
        edge = (1 - ndv[rows].clamp(0, 1)) ** 5
        around = stage.surroundings(mirror[:, rows], finish.roughness) * (0.35 + 0.65 * open_[rows])
        gloss = 2.0 / max(finish.roughness, 0.08) ** 2.5
        spark = ndh[rows] ** gloss * min(gloss * 0.02, 1.6) * lit[rows] * stage.light.rgb()[:, None]
        if finish.metal:
            tint = colour + (1 - colour) * edge
            seen = tint * (around * 1.15 + spark) + 0.12 * colour * diffuse[:, rows]
        else:
            mirror_share = finish.reflectance + (1 - finish.reflectance) * edge * (1 - finish.roughness) ** 2
            seen = colour * diffuse[:, rows] * (1 - mirror_share) + mirror_share * around
            seen = seen + spark * finish.reflectance * 8 * (1 - finish.roughness)
            if finish.cloth:
                seen = seen + 0.12 * colour * stage.ambient(n[:, rows]) * (1 - ndv[rows].clamp(0, 1)) ** 2
            if finish.glass:
                bent = (uv[:, rows] + n[:2, rows] * torch.tensor([[0.22], [-0.22]])).clamp(-1, 1)
                through = F.grid_sample(behind[None], bent.T[None, None], align_corners=False)[0, :, 0]
                thick = 0.55 + 1.5 * (1 - ndv[rows].clamp(0, 1)) ** 1.5
                seen = (
                    0.3 * seen + 0.8 * through * colour.clamp_min(0.02) ** thick + mirror_share * around * 1.3 + spark
                )
        out[:, rows] = seen + part.material.glow * colour
    return out


def _ground_light(solid: Solid | None, stage: Stage, p: Tensor) -> Tensor:
    """Light falling on ground points, linear RGB (3, n)."""
    up = torch.tensor([0.0, 1.0, 0.0])[:, None]
    key = stage.light.rgb()[:, None] * float(stage.light.direction()[1]) * stage.gobo(p)
    sky = stage.ambient(up)
    if solid is None:
        return key + sky.expand_as(p)
    open_ = torch.ones_like(p[0])
    lit = shadow(solid, p, stage.light)
    middle = (solid.low + solid.high)[:, None] / 2
    spread = float((solid.high - solid.low)[[0, 2]].max()) * 0.5 + 0.7
    near = torch.nonzero(((p - middle)[[0, 2]] ** 2).sum(0) < spread**2)[:, 0]
    open_[near] = occlusion(solid, p[:, near], up.expand(3, len(near)), 0.5)
    return key * lit + sky * open_


def _background(solid: Solid | None, stage: Stage, o: Tensor, d: Tensor) -> Tensor:
    """The stage without the product's own pixels: ground with the product's shadow, and the wall behind."""
    down = torch.where(d[1] < -1e-4, -o[1] / d[1].clamp_max(-1e-4), torch.full_like(d[1], FAR))
    p = o + d * down
    on_ground = (down < FAR) & (p[2] > -stage.depth)
    out = stage.wall(o, d)
    rows = torch.nonzero(on_ground)[:, 0]
    q = p[:, rows]
    light = _ground_light(solid, stage, q)
    colour = stage.ground(q[0], q[2])
    if stage.gloss > 0:
        flipped = d[:, rows] * torch.tensor([1.0, -1.0, 1.0])[:, None]
        sheen = stage.gloss * (0.15 + 0.85 * (1 - flipped[1].clamp(0, 1)) ** 4)
        colour = colour * light * (1 - sheen) + sheen * stage.wall(q, flipped)
    else:
        colour = colour * light
    if stage.seamless > 0:
        share = ((-q[2] - stage.depth * 0.2) / (stage.depth * 0.8)).clamp(0, 1)
        share = share * share * (3 - 2 * share)
        colour = colour + (stage.wall(o[:, rows], d[:, rows]) - colour) * share
    out[:, rows] = colour
    return out


def _tone(x: Tensor) -> Tensor:
    """Linear light to sRGB with soft highlights; colours below the shoulder stay true."""
    x = torch.where(x < 0.75, x, 0.75 + 0.25 * (1 - torch.exp(-(x.clamp_min(0.75) - 0.75) / 0.25)))
    x = x.clamp(0, 1)
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-6) ** (1 / 2.4) - 0.055)


def _rays(solid: Solid | None, pose: Pose, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ray origins and directions (3, side * side) and frame coordinates in [-1, 1] (2, side * side), rows downwards."""
    if solid is None:
        middle, extent = torch.tensor([0.0, 0.45, 0.0]), 1.0
    else:
        size = solid.high - solid.low - 0.18
        tall = float(size[1] * np.cos(pose.pitch) + size[2] * np.sin(pose.pitch))
        middle, extent = (solid.high + solid.low) / 2, max(tall, float(size[0]))
    half = float(np.tan(FOV / 2))
    away = extent / (pose.fill * 2 * half)
    c, s = float(np.cos(pose.pitch)), float(np.sin(pose.pitch))
    back, up = torch.tensor([0.0, s, c]), torch.tensor([0.0, c, -s])
    at = (torch.arange(side) + 0.5) / side * 2 - 1
    v, u = torch.meshgrid(at, at, indexing="ij")
    uv = torch.stack([u.reshape(-1), v.reshape(-1)])
    frame = extent / pose.fill
    eye = middle + back * away - up * pose.shift[1] * frame
    eye[0] -= pose.shift[0] * frame
    d = F.normalize(torch.stack([uv[0] * half, -uv[1] * half * c - s, uv[1] * half * s - c]), dim=0)
    return eye[:, None].expand(3, side * side), d, uv


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture (height, width, 3) in sRGB and the product's exact coverage (height, width) in [0, 1]."""

    image: np.ndarray
    mask: np.ndarray


@torch.inference_mode()
def photograph(
    parts: list[Part] | None, stage: Stage, pose: Pose, size: int = 128, taken_away: bool = False
) -> Photograph:
    """Photograph a product (or, without parts, the empty stage) at `size` by `size` pixels.

    A product that is `taken_away` is not there, nor its shadow, but the camera looks at where it would be.
    """
    side = size * SUPERSAMPLE
    product = Solid(parts, pose.yaw, stage.pedestal_height) if parts else None
    o, d, uv = _rays(product, pose, side)
    product = None if taken_away else product
    props = Solid(stage.props) if stage.props else None
    image = _background(_together(product, props), stage, o, d)
    covered = torch.zeros(side * side)
    reach = torch.full((side * side,), FAR)
    for solid in (props, product):
        if solid is None:
            continue
        t = trace(solid, o, d)
        rows = torch.nonzero((t < reach) & (t < FAR))[:, 0]
        behind = image.reshape(3, side, side)
        p = o[:, rows] + d[:, rows] * t[rows]
        reach[rows] = t[rows]
        image = image.clone()
        scenery = _Pair(solid, props) if props and solid is product else solid
        image[:, rows] = _shade(scenery, stage, p, d[:, rows], behind, uv[:, rows])
        covered[rows] = 1.0 if solid is product else 0.0
    pixels = F.avg_pool2d(_tone(image).reshape(1, 3, side, side), SUPERSAMPLE)[0]
    mask = F.avg_pool2d(covered.reshape(1, 1, side, side), SUPERSAMPLE)[0, 0]
    return Photograph((pixels.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy(), mask.numpy())


def _together(first: Solid | None, second: Solid | None) -> Solid | None:
    """Both solids as one for shadows; a single one as it is."""
    if first is None or second is None:
        return first or second
    return _Pair(first, second)


class _Pair(Solid):
    """Two solids that shade each other; surface queries go to the first."""

    def __init__(self, first: Solid, second: Solid) -> None:
        self.first, self.second = first, second
        self.parts, self.local, self.nearest = first.parts, first.local, first.nearest  # type: ignore[method-assign]
        self.low, self.high = torch.minimum(first.low, second.low), torch.maximum(first.high, second.high)

    def distance(self, p: Tensor) -> Tensor:
        """Distance to whichever is nearer."""
        return torch.minimum(self.first.distance(p), self.second.distance(p))
