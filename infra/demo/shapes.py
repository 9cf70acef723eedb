"""Signed distance shapes that the studio's products are built from.

Nearly every solid here is a two-dimensional drawing put to use in space: turned about an axis (`lathe`), given
thickness (`extrude`), or followed by a round brush (`tube`). Its distance field is computed once into a small table and
looked up with one `grid_sample`, so that a teapot costs a ray no more than a ball does. Distances are lower bounds
everywhere, which is what sphere tracing needs.

Coordinates: x to the right, y up, z towards the camera; the product stands on y = 0 and is about one unit large.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.interpolate import CubicHermiteSpline
from torch import Tensor

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Signed distance of the points with coordinates x, y, z (equal shapes), negative inside."""

Points = Sequence[tuple[float, float]]

TABLE = 112  # samples along each side of a drawing's distance table
PARTS = 12  # of a table, each computed at once: few enough samples that the processor's cache holds them
MARGIN = 0.12


def smooth(points: Points, samples: int = 40) -> np.ndarray:
    """A smooth open curve through `points`, as an array (samples, 2), with as many samples between any two of them.

    A centripetal Catmull-Rom spline, which makes no loop where two points are close (Yuksel et al. 2011).
    """
    p = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    apart = np.sqrt(np.linalg.norm(np.diff(padded, axis=0), axis=1))
    knots = np.concatenate([[0.0], np.cumsum(np.maximum(apart, 1e-6))])
    curve = CubicHermiteSpline(knots, padded, np.gradient(padded, knots, axis=0))
    return np.asarray(curve(np.interp(np.linspace(1, len(p), samples), np.arange(len(padded)), knots)))


def smooth_loop(points: Points, samples: int = 56) -> np.ndarray:
    """A smooth closed curve through `points`, as an array (samples, 2) without the repeated end."""
    p = list(points)
    count = len(p)
    curve = smooth([*p[-2:], *p, *p[:2]], samples=(samples * (count + 3)) // count * 4)
    at = np.linspace(0, count + 3, len(curve))
    inside = curve[(at >= 2) & (at < 2 + count)]
    return inside[np.linspace(0, len(inside) - 1, samples).astype(int)]


def ellipse(cx: float, cy: float, rx: float, ry: float, samples: int = 48, power: float = 2.0) -> np.ndarray:
    """A closed (super-)ellipse about (cx, cy)."""
    a = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    c, s = np.cos(a), np.sin(a)
    bend = 2.0 / power
    return np.stack([cx + rx * np.sign(c) * np.abs(c) ** bend, cy + ry * np.sign(s) * np.abs(s) ** bend], 1)


def vessel(outer: np.ndarray, wall: float, floor: float) -> np.ndarray:
    """The closed profile of a hollow turned vessel; `outer` (radius, height) is its outside from foot to lip."""
    tangent = np.gradient(outer, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1) / np.maximum(np.linalg.norm(tangent, axis=1), 1e-6)[:, None]
    inner = outer + normal * wall
    inner = inner[(inner[:, 1] > floor) & (inner[:, 0] > 0.01)]
    lip = outer[-1] + (inner[-1] - outer[-1]) * 0.5 + np.array([0.0, wall * 0.35])
    foot = [[-0.4, outer[0, 1]]]
    bottom = [[inner[0, 0] * 0.9, floor], [-0.4, floor]]
    return np.vstack([foot, outer, [lip], inner[::-1], bottom])


def sleeve(outer: np.ndarray, wall: float) -> np.ndarray:
    """The closed profile of an open-ended turned shell, `wall` thick, such as a lampshade."""
    return np.vstack([outer, outer[::-1] - [wall, 0.0]])


def turned(outer: np.ndarray) -> np.ndarray:
    """The closed profile of a solid turned body whose outside runs from foot to top along `outer` (radius, height)."""
    return np.vstack([[[-0.4, outer[0, 1]]], outer, [[-0.4, outer[-1, 1]]]])


def _segments(points: np.ndarray, curve: np.ndarray, closed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance to the curve, the nearest place along it in [0, 1], and whether a closed curve holds the point."""
    a = curve if closed else curve[:-1]
    b = np.roll(curve, -1, axis=0) if closed else curve[1:]
    edge = b - a
    x, y = points[:, :1] - a[:, 0], points[:, 1:] - a[:, 1]
    t = np.clip((x * edge[:, 0] + y * edge[:, 1]) / np.maximum((edge * edge).sum(-1), 1e-12), 0, 1)
    square = np.square(x - t * edge[:, 0]) + np.square(y - t * edge[:, 1])
    nearest = square.argmin(1)
    rows = np.arange(len(points))
    along = (nearest + t[rows, nearest]) / len(a)
    straddles = (a[:, 1] > points[:, 1:]) != (b[:, 1] > points[:, 1:])
    rise = np.where(np.abs(edge[:, 1]) < 1e-12, 1e-12, edge[:, 1])
    crossing = a[:, 0] + y * edge[:, 0] / rise
    inside = (straddles & (points[:, :1] < crossing)).sum(1) % 2 == 1
    return np.sqrt(square[rows, nearest]), along, inside


class Drawing:
    """A curve's distance field over its bounding rectangle, ready to be looked up.

    A closed curve gives signed distances; an open one unsigned distances and, in a second channel, the brush's radius,
    which runs through `radii` along the curve.
    """

    def __init__(self, curve: np.ndarray, closed: bool = True, radii: Sequence[float] = (), axis: bool = False) -> None:
        reach = MARGIN + (max(radii) if len(radii) else 0.0)
        low, high = curve.min(0) - reach, curve.max(0) + reach
        if axis:
            low[0] = 0.0
        ys, xs = np.meshgrid(np.linspace(low[1], high[1], TABLE), np.linspace(low[0], high[0], TABLE), indexing="ij")
        points = np.stack([xs.ravel(), ys.ravel()], 1).astype(np.float32)
        parts = [_segments(part, curve.astype(np.float32), closed) for part in np.array_split(points, PARTS)]
        distance, along, inside = map(np.concatenate, zip(*parts, strict=True))
        planes = [np.where(inside, -distance, distance) if closed else distance]
        if len(radii):
            planes.append(np.interp(along, np.linspace(0, 1, len(radii)), radii))
        self.table = torch.from_numpy(np.stack(planes).reshape(1, len(planes), TABLE, TABLE).astype(np.float32))
        self.low, self.high = low.astype(float), high.astype(float)

    def __call__(self, u: Tensor, v: Tensor) -> Tensor:
        """The table's channels at the points (u, v), as (channels, n); beyond the rectangle a lower bound."""
        (u0, v0), (u1, v1) = self.low, self.high
        cu, cv = u.clamp(u0, u1), v.clamp(v0, v1)
        grid = torch.stack([(cu - u0) * (2 / (u1 - u0)) - 1, (cv - v0) * (2 / (v1 - v0)) - 1], -1)
        found = F.grid_sample(self.table, grid[None, None], align_corners=True, padding_mode="border")[0, :, 0]
        beyond = (u - cu).square_().add_((v - cv).square_())
        found[0] = torch.where(beyond > 0, torch.sqrt(found[0].square() + beyond), found[0])
        return found


def lathe(profile: np.ndarray) -> Distance:
    """The solid that a closed profile (radius, height) sweeps about the y axis."""
    drawing = Drawing(profile, axis=True)
    return lambda x, y, z: drawing(torch.sqrt(x * x + z * z), y)[0]


def extrude(outline: np.ndarray, half: float, rounding: float = 0.02) -> Distance:
    """A closed outline in the x-y plane, `half` thick to either side of z = 0, with rounded edges."""
    drawing = Drawing(outline)

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        flat = drawing(x, y)[0] + rounding
        deep = z.abs() - (half - rounding)
        outside = torch.sqrt(flat.clamp_min(0).square_() + deep.clamp_min(0).square_())
        return torch.maximum(flat, deep).clamp_max_(0) + outside - rounding

    return distance


def puff(outline: np.ndarray, half: float, rise: float) -> Distance:
    """A stuffed outline: thick in the middle (`half`) and thin at its rim, the thickness rising over `rise`."""
    drawing = Drawing(outline)

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        flat = drawing(x, y)[0]
        depth = (-flat / rise).clamp(0, 1)
        thick = half * torch.sqrt(depth * (2 - depth) + 0.004)
        return torch.maximum(flat, (z.abs() - thick) * 0.6)

    return distance


def tube(curve: np.ndarray, radii: Sequence[float], flatten: float = 1.0) -> Distance:
    """A round brush, its radius running through `radii`, drawn along an open curve in the x-y plane.

    `flatten` above 1 makes the tube wider along z (a strap), below 1 narrower.
    """
    drawing = Drawing(curve, closed=False, radii=radii)
    slack = min(1.0, 1.0 / flatten) if flatten > 1 else flatten
    if flatten >= 1:
        return lambda x, y, z: (lambda d: torch.sqrt(d[0].square() + (z / flatten).square()) - d[1])(drawing(x, y))
    return lambda x, y, z: (lambda d: torch.sqrt(d[0].square() + (z / flatten).square()) - d[1])(drawing(x, y)) * slack


def box(half: tuple[float, float, float], rounding: float = 0.02) -> Distance:
    """A rounded box about the origin with the given half extents."""
    hx, hy, hz = (max(h - rounding, 1e-3) for h in half)

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        qx, qy, qz = x.abs() - hx, y.abs() - hy, z.abs() - hz
        inner = torch.maximum(torch.maximum(qx, qy), qz).clamp_max_(0)
        outer = qx.clamp_min_(0).square_() + qy.clamp_min_(0).square_() + qz.clamp_min_(0).square_()
        return torch.sqrt(outer) + inner - rounding

    return distance


def ball(rx: float, ry: float, rz: float) -> Distance:
    """An ellipsoid about the origin (a lower bound of its distance)."""
    least = min(rx, ry, rz)
    return lambda x, y, z: (
        torch.sqrt((x / rx).square_() + (y / ry).square_() + (z / rz).square_()).sub_(1.0).mul_(least)
    )


def rod(a: tuple[float, float, float], b: tuple[float, float, float], r0: float, r1: float | None = None) -> Distance:
    """A rod from a to b, its radius going from r0 to r1."""
    ax, ay, az = a
    ex, ey, ez = b[0] - ax, b[1] - ay, b[2] - az
    square = ex * ex + ey * ey + ez * ez
    grow = (r1 if r1 is not None else r0) - r0

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        px, py, pz = x - ax, y - ay, z - az
        t = ((px * ex + py * ey + pz * ez) / square).clamp_(0, 1)
        gap = (px - t * ex).square_() + (py - t * ey).square_() + (pz - t * ez).square_()
        return torch.sqrt(gap) - (r0 + grow * t)

    return distance


def moved(shape: Distance, dx: float = 0.0, dy: float = 0.0, dz: float = 0.0) -> Distance:
    """The shape carried along by (dx, dy, dz)."""
    return lambda x, y, z: shape(x - dx, y - dy, z - dz)


def facing(shape: Distance) -> Distance:
    """The shape turned so that its y axis points at the camera (z)."""
    return lambda x, y, z: shape(x, z, -y)


def sideways(shape: Distance) -> Distance:
    """The shape turned so that its y axis points to the right (x)."""
    return lambda x, y, z: shape(-y, x, z)


def across(shape: Distance) -> Distance:
    """The shape turned by a quarter about y: its x axis points away from the camera."""
    return lambda x, y, z: shape(-z, y, x)


def tilted(shape: Distance, angle: float) -> Distance:
    """The shape leant back about the x axis by `angle` radians."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return lambda x, y, z: shape(x, c * y - s * z, s * y + c * z)


def rolled(shape: Distance, angle: float) -> Distance:
    """The shape turned about the z axis by `angle` radians."""
    c, s = float(np.cos(angle)), float(np.sin(angle))
    return lambda x, y, z: shape(c * x + s * y, c * y - s * x, z)


def mirrored(shape: Distance) -> Distance:
    """The shape and its mirror image across x = 0."""
    return lambda x, y, z: shape(x.abs(), y, z)


def fore_and_aft(shape: Distance, dz: float) -> Distance:
    """The shape at z = dz and its mirror image at z = -dz."""
    return lambda x, y, z: shape(x, y, z.abs() - dz)


def union(*shapes: Distance, blend: float = 0.0) -> Distance:
    """All shapes together, with fillets of about `blend` where they meet."""

    def distance(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        total = shapes[0](x, y, z)
        for shape in shapes[1:]:
            other = shape(x, y, z)
            low = torch.minimum(total, other)
            if blend > 0:
                near = (blend - (total - other).abs()).clamp_min_(0)
                low = low - near * near * (0.25 / blend)
            total = low
        return total

    return distance


def outside(shape: Distance, hole: Distance) -> Distance:
    """What of `shape` does not lie in `hole`."""
    return lambda x, y, z: torch.maximum(shape(x, y, z), -hole(x, y, z))
