"""What a product's surface looks like: named colours, finishes, patterns and the label with its logo mark."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

COLOURS: dict[str, str] = {
    "red": "#c8202b",
    "orange": "#ee7a1c",
    "yellow": "#f3c81f",
    "green": "#2f8a3c",
    "mint": "#9fdcc0",
    "teal": "#11807f",
    "blue": "#2762c8",
    "navy": "#1b2a56",
    "purple": "#7038a4",
    "pink": "#ee8fb3",
    "brown": "#7a4a2a",
    "beige": "#dcc5a0",
    "white": "#f2f1ee",
    "grey": "#85898d",
    "black": "#1c1c1f",
}
"""The colours that captions name, with their hex values."""

METALS: dict[str, str] = {"silver": "#c9ccd1", "gold": "#d9a93c", "copper": "#c8754a"}
"""Colours that only metal has."""

PATTERNS = ("stripes", "pinstripes", "dots", "checks", "band", "dipped", "speckled", "zigzag")
MARKS = ("circle", "star", "leaf", "bolt", "wave", "heart", "ring", "triangle", "sun", "cross", "moon", "diamond")


@dataclass(frozen=True, slots=True)
class Finish:
    """How a material answers light: reflectance straight on, roughness, and whether it is metal, glass or cloth."""

    reflectance: float
    roughness: float
    metal: bool = False
    glass: bool = False
    cloth: bool = False


FINISHES: dict[str, Finish] = {
    "matte": Finish(0.03, 0.75),
    "glossy": Finish(0.055, 0.12),
    "satin": Finish(0.045, 0.4),
    "metal": Finish(0.75, 0.25, metal=True),
    "glass": Finish(0.07, 0.06, glass=True),
    "fabric": Finish(0.02, 0.95, cloth=True),
    "leather": Finish(0.045, 0.5),
    "wood": Finish(0.035, 0.55),
}


@dataclass(frozen=True, slots=True)
class Label:
    """A printed label: a mark, short text, its ink and its paper (None prints straight on the product)."""

    mark: str
    text: str
    ink: str
    paper: str | None


@dataclass(frozen=True, slots=True)
class Decal:
    """Where a label sits: centre and half size on the front, wrapped around the y axis where `wrap` is a radius."""

    label: Label
    centre: tuple[float, float]
    half: tuple[float, float]
    wrap: float = 0.0


@dataclass(frozen=True, slots=True)
class Material:
    """A part's surface. `accent` colours the pattern; `flat` lays patterns out in x-y instead of around the y axis."""

    colour: tuple[float, float, float]
    finish: str = "matte"
    accent: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pattern: str | None = None
    density: float = 5.0
    flat: bool = False
    decal: Decal | None = None
    glow: float = 0.0
    dial: tuple[float, float, float] | None = None  # a clock's face: centre x, centre y, radius


def linear(hex_colour: str) -> tuple[float, float, float]:
    """The linear-light RGB of an sRGB hex colour."""
    srgb = np.array([int(hex_colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    r, g, b = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(r), float(g), float(b)


def hex_of(name: str) -> str:
    """The hex value of a named colour or metal."""
    return COLOURS.get(name) or METALS[name]


@lru_cache(maxsize=1)
def noise_field() -> Tensor:
    """A tileable smooth noise texture (1, 3, 256, 256) with values of about -1..1: coarse, middle, fine."""
    rng = np.random.default_rng(20260101)
    f = np.fft.fftfreq(256)
    radius = np.sqrt(f[:, None] ** 2 + f[None, :] ** 2)
    planes = []
    for centre in (4 / 256, 16 / 256, 64 / 256):
        spectrum = np.fft.fft2(rng.standard_normal((256, 256))) * np.exp(-((radius / centre) ** 2))
        plane = np.fft.ifft2(spectrum).real
        planes.append(plane / plane.std() / 1.7)
    return torch.from_numpy(np.stack(planes)[None].astype(np.float32))


def noise(u: Tensor, v: Tensor, channel: int) -> Tensor:
    """Smooth noise at (u, v); the texture repeats with period 1."""
    grid = torch.stack([torch.remainder(u, 1.0) * 2 - 1, torch.remainder(v, 1.0) * 2 - 1], -1)
    plane = noise_field()[:, channel : channel + 1]
    return F.grid_sample(plane, grid[None, None], align_corners=False, padding_mode="reflection")[0, 0, 0]


def _edge(x: Tensor, at: float, soft: float) -> Tensor:
    return ((x - at) / soft + 0.5).clamp(0, 1)


def pattern_mask(material: Material, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """How much of the accent colour shows at each point, in [0, 1]."""
    k = material.density
    turn = x * 1.6 if material.flat else torch.atan2(x, z) / torch.pi * 2
    kind = material.pattern
    if kind == "stripes":
        return _edge(torch.sin(y * k * 6.283), 0.0, 0.35)
    if kind == "pinstripes":
        return _edge(torch.sin(turn * k * 6.283), 0.1, 0.4)
    if kind == "checks":
        return _edge(torch.sin(turn * k * 3.1416) * torch.sin(y * k * 3.1416 * 1.6), 0.0, 0.15)
    if kind == "band":
        return _edge(0.13 - (y - 0.12 * k).abs(), 0.0, 0.015)
    if kind == "dipped":
        return _edge(0.085 * k - y + 0.02 * torch.sin(turn * 9), 0.0, 0.015)
    if kind == "zigzag":
        fold = (torch.remainder(turn * k * 0.7, 1.0) - 0.5).abs()
        return _edge(torch.sin((y * k + fold * 1.2) * 6.283), 0.1, 0.35)
    if kind == "dots":
        row = torch.floor(y * k * 1.6)
        du = torch.remainder(turn * k * 0.8 + 0.5 * torch.remainder(row, 2.0), 1.0) - 0.5
        dv = torch.remainder(y * k * 1.6, 1.0) - 0.5
        return _edge(0.3 - torch.sqrt(du * du + dv * dv), 0.0, 0.12)
    return _edge(noise(turn * 0.35, y * 0.6 + z * 0.4, 2), 0.75, 0.3)  # speckled


@lru_cache(maxsize=512)
def label_texture(label: Label) -> Tensor:
    """The label as (1, 4, 96, 96) linear RGB and alpha."""
    side = 192
    art = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(art)
    _draw_mark(pen, label.mark, side // 2, 74 if label.text else 96, 58 if label.text else 78)
    if label.text:
        font = ImageFont.load_default(size=62 if len(label.text) < 5 else 48)
        pen.text((side // 2, 160), label.text, fill=255, font=font, anchor="mm", stroke_width=3, stroke_fill=255)
    ink_mask = np.asarray(art.resize((96, 96), Image.Resampling.BOX), np.float32) / 255.0
    paper_mask = np.zeros_like(ink_mask)
    if label.paper:
        sheet = Image.new("L", (side, side), 0)
        ImageDraw.Draw(sheet).rounded_rectangle((3, 3, side - 4, side - 4), 26, fill=255)
        paper_mask = np.asarray(sheet.resize((96, 96), Image.Resampling.BOX), np.float32) / 255.0
    ink = np.array(linear(label.ink), np.float32)[:, None, None]
    paper = np.array(linear(label.paper or label.ink), np.float32)[:, None, None]
    colour = paper * (1 - ink_mask) + ink * ink_mask
    alpha = np.maximum(ink_mask, paper_mask)[None]
    return torch.from_numpy(np.concatenate([colour, alpha])[None].astype(np.float32))


def _draw_mark(pen: ImageDraw.ImageDraw, mark: str, cx: int, cy: int, r: int) -> None:
    """Draw one of `MARKS` about (cx, cy) with radius r in white."""

    def polygon(angles: list[float], radii: list[float]) -> None:
        turn = [(cx + q * np.sin(a), cy - q * np.cos(a)) for a, q in zip(angles, radii, strict=True)]
        pen.polygon(turn, fill=255)

    if mark in ("circle", "ring", "moon", "sun"):
        inner = {"circle": 0.0, "ring": 0.55, "moon": 0.85, "sun": 0.0}[mark]
        outer = r * (0.62 if mark == "sun" else 1)
        pen.ellipse((cx - outer, cy - outer, cx + outer, cy + outer), fill=255)
        shift = r * 0.45 if mark == "moon" else 0
        if inner:
            q = r * inner
            pen.ellipse((cx - q + shift, cy - q, cx + q + shift, cy + q), fill=0)
        for a in np.arange(8) * np.pi / 4 if mark == "sun" else []:
            tip = (cx + r * np.sin(a), cy + r * np.cos(a), cx + r * 0.7 * np.sin(a), cy + r * 0.7 * np.cos(a))
            pen.line(tip, fill=255, width=r // 5)
    elif mark == "star":
        polygon([i * np.pi / 5 for i in range(10)], [r if i % 2 == 0 else r * 0.45 for i in range(10)])
    elif mark == "triangle":
        polygon([0, 2.094, 4.189], [r * 1.1] * 3)
    elif mark == "diamond":
        polygon([0, np.pi / 2, np.pi, -np.pi / 2], [r, r * 0.7, r, r * 0.7])
    elif mark == "cross":
        pen.rectangle((cx - r // 3, cy - r, cx + r // 3, cy + r), fill=255)
        pen.rectangle((cx - r, cy - r // 3, cx + r, cy + r // 3), fill=255)
    elif mark == "bolt":
        shape = [(0.25, -1), (-0.6, 0.15), (-0.05, 0.15), (-0.3, 1), (0.6, -0.2), (0.05, -0.2)]
        pen.polygon([(cx + r * a, cy + r * b) for a, b in shape], fill=255)
    elif mark == "leaf":
        bow = [(np.sin(t) * 0.55 * r, -np.cos(t) * r) for t in np.linspace(0, np.pi, 20)]
        lean = [(cx + a * 0.8 - b * 0.5, cy + b * 0.8 + a * 0.5) for a, b in [*bow, *[(-a, b) for a, b in bow[::-1]]]]
        pen.polygon(lean, fill=255)
    elif mark == "heart":
        t = np.linspace(0, 2 * np.pi, 40)
        hx = 16 * np.sin(t) ** 3
        hy = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
        pen.polygon([(cx + r * a / 16, cy - r * b / 16) for a, b in zip(hx, hy, strict=True)], fill=255)
    else:  # wave
        for k in (-1, 0, 1):
            bow = [(cx + r * a, cy + r * (0.55 * k + 0.22 * np.sin(a * 5))) for a in np.linspace(-1, 1, 24)]
            pen.line([(float(a), float(b)) for a, b in bow], fill=255, width=r // 4, joint="curve")


def albedo(material: Material, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The surface's own colour at points in product coordinates, linear RGB (3, n)."""
    base = torch.tensor(material.colour)[:, None].expand(3, x.numel())
    if material.pattern:
        share = pattern_mask(material, x, y, z)
        base = base + (torch.tensor(material.accent)[:, None] - base) * share
    if material.finish == "wood":
        grain = noise(x * 1.2 + 0.3, y * 0.15 + z * 0.9, 1)
        base = base * (1 + 0.22 * grain)
    if material.finish == "fabric":
        weave = torch.sin(x * 150) * torch.sin(y * 150) * 0.06 + 0.08 * noise(x * 0.9, y * 0.9 + z * 0.5, 2)
        base = base * (1 + weave)
    if material.dial:
        cx, cy, radius = material.dial
        base = _dial(base, (x - cx) / radius, (y - cy) / radius, material.accent)
    if material.decal:
        base = _stick(base, material.decal, x, y, z)
    return base


def _stick(base: Tensor, decal: Decal, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Lay the decal's label over the base colour."""
    (cx, cy), (hw, hh) = decal.centre, decal.half
    across = torch.atan2(x, z) * decal.wrap if decal.wrap else x * torch.sign(z)
    u, v = (across - cx) / hw, (cy - y) / hh
    texture = label_texture(decal.label)
    found = F.grid_sample(texture, torch.stack([u, v], -1)[None, None], align_corners=False)[0, :, 0]
    inside = (u.abs() <= 1) & (v.abs() <= 1)
    share = found[3] * inside if decal.wrap else found[3] * inside * (z.abs() > 0.01)
    colour = found[:3] / found[3].clamp_min(1e-3) if not decal.label.paper else found[:3]
    return base + (colour.clamp(0, 1) - base) * share


def _dial(base: Tensor, x: Tensor, y: Tensor, ink: tuple[float, float, float]) -> Tensor:
    """Draw hour marks and two hands about (0, 0); x and y are already centred and scaled to a unit dial."""
    radius, angle = torch.sqrt(x * x + y * y), torch.atan2(x, y)
    marks = (torch.cos(angle * 12) > 0.8) & (radius > 0.74) & (radius < 0.93)
    hands = torch.zeros_like(marks)
    for turn, reach, width in ((-0.95, 0.45, 0.085), (1.05, 0.68, 0.06)):
        s, c = float(np.sin(turn)), float(np.cos(turn))
        hands |= ((x * c - y * s).abs() < width) & (x * s + y * c > -0.1) & (x * s + y * c < reach)
    share = (marks | hands | (radius < 0.11)).float()
    return base + (torch.tensor(ink)[:, None] - base) * share
