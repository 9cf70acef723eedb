"""Things for the room: lamp, chair, cushion, clock and alarm clock."""

from dataclasses import replace

import numpy as np

from infra.demo.materials import Decal, Material, linear
from infra.demo.shapes import (
    ball,
    box,
    ellipse,
    facing,
    lathe,
    mirrored,
    moved,
    puff,
    rod,
    rolled,
    sleeve,
    smooth,
    tilted,
    turned,
    union,
)
from infra.demo.specs import Genes, Part, ProductClass, ProductSpec, paint, place, plain


def _lamp(spec: ProductSpec, g: Genes) -> list[Part]:
    h, foot = g.between(1.1, 1.4), g.between(0.2, 0.27)
    low, top, tall = g.between(0.36, 0.5), g.between(0.18, 0.3), g.between(0.38, 0.5)
    lit = g.between(0, 1) < 0.6
    shade = lathe(sleeve(np.array([(low, h - tall), (top, h)]), 0.025))
    if g.between(0, 1) < 0.5:
        belly = g.between(0.2, 0.3)
        stand = smooth([(foot * 0.8, 0), (belly, (h - tall) * 0.45), (belly * 0.6, (h - tall) * 0.8), (0.05, h - tall)])
        base = lathe(turned(stand))
    else:
        g.between(0, 1)
        plate = lathe(turned(np.array([(foot, 0), (foot, 0.04), (0.05, 0.07)])))
        base = union(plate, rod((0, 0.02, 0), (0, h - 0.1, 0), 0.032), blend=0.04)
    inner = moved(ball(top * 0.7, tall * 0.3, top * 0.7), dy=h - tall * 0.5)
    skin = Material(paint(spec).colour, "fabric", paint(spec).accent, spec.pattern, 6.0, glow=0.5 if lit else 0.0)
    finish = "wood" if spec.finish == "wood" else spec.finish
    foot_skin = (
        plain("#9c6b3f", "wood") if finish == "wood" else plain("gold" if finish == "metal" else spec.colour, finish)
    )
    parts = [Part(shade, skin), Part(base, foot_skin)]
    return [*parts, Part(inner, plain("#fff0cc", glow=2.2))] if lit else parts


def _chair(spec: ProductSpec, g: Genes) -> list[Part]:
    w, seat, back, depth = g.between(0.32, 0.4), g.between(0.52, 0.62), g.between(0.55, 0.75), g.between(0.3, 0.36)
    splay, thick, soft = g.between(0.02, 0.09), g.between(0.028, 0.045), g.between(0.02, 0.06)
    skin = paint(spec, flat=True, density=4.0)
    pad = moved(box((w, soft + 0.03, depth), 0.03 + soft * 0.5), dy=seat)
    lean = g.between(0.08, 0.2)
    if g.between(0, 1) < 0.5:
        rest = box((w, back * 0.5, 0.045), 0.04)
    else:
        rest = puff(ellipse(0, 0, w * 1.02, back * 0.52, power=3.0), 0.07, 0.12)
    rest = moved(tilted(rest, lean), dy=seat + back * 0.52, dz=-depth - lean * 0.25)
    front = rod((w * 0.85, seat, depth * 0.8), (w * 0.85 + splay, 0.0, depth * 0.85 + splay), thick, thick * 0.6)
    rear = rod((w * 0.85, seat, -depth * 0.85), (w * 0.85 + splay, 0.0, -depth * 0.95 - splay), thick, thick * 0.6)
    legs = mirrored(union(front, rear))
    kind = int(g.between(0, 2.99))
    wood = (plain("#b07c49", "wood"), plain("black", "satin"), plain("silver", "metal"))[kind]
    return [Part(union(pad, rest), skin), Part(legs, wood)]


def _cushion(spec: ProductSpec, g: Genes) -> list[Part]:
    w, h, thick = g.between(0.5, 0.62), g.between(0.42, 0.58), g.between(0.17, 0.25)
    outline = ellipse(0, 0, w, h, 64, power=g.between(3.5, 8.0))
    lean = g.between(0.15, 0.35)
    skin = paint(spec, place(spec, (0.0, 0.0), (w * 0.5, w * 0.5)), flat=True, density=g.between(2.5, 4.5))
    # The shape leans back while its pattern stays upright, so the whole is lifted by what the lean takes away.
    body = tilted(puff(outline, thick, 0.34), lean)
    lift = h * np.cos(lean) - 0.01
    skin = Material(skin.colour, skin.finish, skin.accent, skin.pattern, skin.density, True, _lift(skin, lift))
    return [Part(moved(body, dy=lift), skin)]


def _lift(skin: Material, dy: float) -> Decal | None:
    return replace(skin.decal, centre=(0.0, dy)) if skin.decal else None


def _dial(spec: ProductSpec, cy: float, radius: float, dark: bool) -> Material:
    face, ink = ("#22252b", "#f4f1e8") if dark else ("#f6f3ea", "#1d1f24")
    return Material(linear(face), "satin", linear(ink), dial=(0.0, cy, radius))


def _clock(spec: ProductSpec, g: Genes) -> list[Part]:
    r, rim, deep = g.between(0.46, 0.56), g.between(0.05, 0.1), g.between(0.08, 0.14)
    dark = g.between(0, 1) < 0.25
    ring = facing(lathe(_ring(r, rim, deep)))
    disc = facing(
        lathe(turned(np.array([(r - rim * 0.5, -deep), (r - rim * 0.5, deep * 0.35), (r - rim, deep * 0.4)])))
    )
    feet = mirrored(rod((r * 0.5, 0.0, 0.08), (r * 0.45, 0.16, 0.0), 0.035))
    cy = r + 0.03
    square = g.between(0, 1) < 0.3
    frame = moved(box((r + 0.02, r + 0.02, deep), 0.06), dy=cy) if square else moved(ring, dy=cy)
    face = moved(disc, dy=cy, dz=deep * 0.75 if square else 0.0)
    return [
        Part(frame, paint(spec, flat=True)),
        Part(face, _dial(spec, cy, r - rim, dark)),
        Part(feet, plain(spec.colour)),
    ]


def _ring(r: float, rim: float, deep: float) -> np.ndarray:
    return ellipse(r - rim * 0.4, 0.0, rim, deep, 32, power=3.0)


def _alarm_clock(spec: ProductSpec, g: Genes) -> list[Part]:
    r, deep, bell = g.between(0.38, 0.44), g.between(0.14, 0.2), g.between(0.13, 0.18)
    dark = g.between(0, 1) < 0.2
    cy = r + 0.12
    case = facing(lathe(turned(smooth([(r * 0.9, -deep), (r, -deep * 0.6), (r, deep * 0.6), (r * 0.92, deep)]))))
    disc = facing(lathe(turned(np.array([(r * 0.84, -0.05), (r * 0.84, deep + 0.012), (r * 0.8, deep + 0.02)]))))
    cup = lathe(turned(smooth([(bell, 0), (bell * 0.95, bell * 0.4), (bell * 0.5, bell * 0.85), (0.01, bell)], 24)))
    bells = mirrored(moved(rolled(cup, -0.6), dx=r * 0.55, dy=cy + r * 0.84))
    legs = mirrored(rod((r * 0.78, 0.03, 0.03), (r * 0.5, 0.25, 0.0), 0.04, 0.03))
    curve = rod((-r * 0.32, cy + r + bell * 1.15, 0), (r * 0.32, cy + r + bell * 1.15, 0), 0.022)
    stays = mirrored(rod((r * 0.32, cy + r + bell * 1.15, 0), (r * 0.36, cy + r * 0.9, 0), 0.02))
    brass = plain("gold" if g.between(0, 1) < 0.4 else "silver", "metal")
    parts = [
        Part(moved(case, dy=cy), paint(spec, flat=True)),
        Part(moved(disc, dy=cy), _dial(spec, cy, r * 0.84, dark)),
    ]
    bells_skin = brass if g.between(0, 1) < 0.6 else plain(spec.colour, spec.finish)
    return [*parts, Part(bells, bells_skin), Part(union(legs, curve, stays), brass)]


HOUSEHOLD = (
    ProductClass(
        "lamp",
        _lamp,
        ("wood", "metal", "glossy", "matte"),
        ("stripes", "pinstripes", "dots"),
        0.0,
        3.1,
        "Home > Lighting",
    ),
    ProductClass(
        "chair",
        _chair,
        ("fabric", "wood", "leather", "matte"),
        ("stripes", "checks", "dots"),
        0.0,
        0.8,
        "Home > Furniture",
    ),
    ProductClass("cushion", _cushion, ("fabric",), labels=0.5, yaw=0.45, category="Home > Textiles"),
    ProductClass("clock", _clock, ("glossy", "metal", "wood", "matte"), (), 0.0, 0.5, "Home > Decor"),
    ProductClass("alarm clock", _alarm_clock, ("glossy", "metal", "matte"), (), 0.0, 0.5, "Home > Decor"),
)
"""The classes of this file."""
