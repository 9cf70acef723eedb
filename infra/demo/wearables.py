"""Things to take along: backpack, sneaker, headphones, watch, sunglasses and toy car."""

import numpy as np

from infra.demo.materials import Material, linear
from infra.demo.shapes import (
    Distance,
    across,
    ball,
    box,
    ellipse,
    extrude,
    facing,
    fore_and_aft,
    lathe,
    mirrored,
    moved,
    outside,
    rod,
    sideways,
    smooth,
    smooth_loop,
    tube,
    turned,
    union,
)
from infra.demo.specs import Genes, Part, ProductClass, ProductSpec, paint, place, plain


def _backpack(spec: ProductSpec, g: Genes) -> list[Part]:
    w, h, d = g.between(0.4, 0.5), g.between(1.1, 1.3), g.between(0.18, 0.25)
    top = g.between(0.62, 0.85)
    outline = smooth_loop(
        [
            (-w, 0.14),
            (-w * 0.97, 0.04),
            (-w * 0.86, 0.0),
            (0.0, 0.0),
            (w * 0.86, 0.0),
            (w * 0.97, 0.04),
            (w, 0.14),
            (w, h * 0.6),
            (w * top, h),
            (-w * top, h),
            (-w, h * 0.6),
        ]
    )
    body = extrude(outline, d, 0.12)
    pw, ph, py = w * g.between(0.68, 0.82), h * g.between(0.18, 0.23), h * g.between(0.24, 0.28)
    pocket = moved(box((pw, ph, 0.1), 0.08), dy=py, dz=d + 0.02)
    zip_y = h * g.between(0.62, 0.68)
    zipper = moved(box((w * 0.86, 0.014, 0.02), 0.012), dy=zip_y, dz=d)
    seam = moved(box((pw * 0.8, 0.012, 0.012), 0.01), dy=py + ph * 0.62, dz=d + 0.118)
    loop = tube(smooth([(-0.13, h - 0.06), (-0.1, h + 0.1), (0.1, h + 0.1), (0.13, h - 0.06)], 20), (0.03, 0.03), 1.4)
    strap = mirrored(
        tube(
            smooth([(w * 0.55, h * 0.95), (w * 1.06, h * 0.7), (w * 1.1, h * 0.3), (w * 0.9, 0.08)], 20),
            (0.05, 0.05),
            1.3,
        )
    )
    skin = paint(spec, place(spec, (0.0, h * 0.82), (0.17, 0.17)), flat=True, density=3.0)
    front = Material(skin.accent if g.between(0, 1) < 0.35 else skin.colour, spec.finish)
    trim = plain("black" if spec.colour != "black" else "grey", "fabric")
    parts = [Part(body, skin), Part(pocket, front), Part(moved(strap, dz=-d * 0.8), trim)]
    return [*parts, Part(union(zipper, seam, loop), trim)]


def _sneaker(spec: ProductSpec, g: Genes) -> list[Part]:
    collar, toe, sole_h = g.between(0.62, 0.86), g.between(0.24, 0.3), g.between(0.11, 0.17)
    front = [(-0.62, sole_h - 0.02), (0.62, sole_h - 0.02), (0.7, toe * 0.9), (0.5, toe + 0.08), (0.2, toe + 0.2)]
    back = [(-0.12, collar * 0.9), (-0.2, collar), (-0.4, collar - 0.04), (-0.58, collar + 0.02), (-0.66, collar - 0.1)]
    upper = smooth_loop([*front, *back, (-0.66, toe)], 64)
    heel = sole_h * g.between(1.0, 1.5)
    base = smooth_loop(
        [(-0.7, 0.02), (-0.4, 0.0), (0.4, 0.0), (0.74, 0.05), (0.76, sole_h * 1.1), (0.0, sole_h), (-0.7, heel)], 56
    )
    width = g.between(0.25, 0.29)
    flank = extrude(upper, width, 0.17)
    opening = moved(ball(0.24, 0.34, 0.15), dx=-0.4, dy=collar + 0.16)
    shell = outside(flank, opening)
    dark = moved(ball(0.2, 0.2, 0.13), dx=-0.4, dy=collar - 0.12)
    ladder = [rod((0.06 + 0.1 * i, 0, -0.09), (0.06 + 0.1 * i, 0, 0.09), 0.022) for i in range(4)]
    lean = (collar * 0.86 - toe - 0.2) / 0.34
    rungs = [moved(s, dy=toe + 0.24 + lean * (0.2 - 0.06 - 0.1 * i) + 0.01) for i, s in enumerate(ladder)]
    skin = paint(spec, place(spec, (-0.08, toe + 0.08), (0.17, 0.15)), flat=True, density=4.0)
    tongue = Material(skin.accent, spec.finish)
    cap = moved(ball(0.2, 0.15, width * 0.92), dx=0.56, dy=sole_h + 0.05)
    sole = plain("white" if g.between(0, 1) < 0.75 else "black", "matte")
    laces = plain("white" if spec.colour not in ("white", "beige") else spec.accent, "fabric")
    parts = [Part(shell, skin), Part(extrude(base, width + 0.035, 0.06), sole), Part(union(*rungs), laces)]
    if g.between(0, 1) < 0.4:
        parts.append(Part(cap, tongue))
    return [*parts, Part(dark, plain("#26262a", "fabric"))]


def _headphones(spec: ProductSpec, g: Genes) -> list[Part]:
    span, cup, deep = g.between(0.42, 0.5), g.between(0.27, 0.33), g.between(0.1, 0.14)
    rise = g.between(0.62, 0.78)
    cy = cup + 0.01
    bow = [(np.sin(a) * span * 1.06, cy + rise * (0.35 + 0.65 * np.cos(a))) for a in np.linspace(-1.6, 1.6, 9)]
    arch = smooth([(-span, cy), *bow, (span, cy)], 48)
    band = tube(arch, (0.03, 0.045, 0.055, 0.045, 0.03), g.between(1.4, 2.2))
    shellp = smooth(
        [(cup * 0.98, 0), (cup, deep * 0.4), (cup * 0.9, deep), (cup * 0.5, deep * 1.2), (0.01, deep * 1.22)], 24
    )
    shell = mirrored(moved(sideways(lathe(turned(shellp))), dx=span, dy=cy))
    pad = mirrored(moved(sideways(lathe(ellipse(cup * 0.7, 0, cup * 0.3, 0.07, 24))), dx=span - 0.06, dy=cy))
    skin = paint(spec, flat=True)
    cushion = plain("black" if spec.colour != "black" else "grey", "leather")
    trim = plain("silver", "metal") if g.between(0, 1) < 0.4 else Material(skin.colour, spec.finish)
    caps = mirrored(moved(ball(0.02, cup * 0.5, cup * 0.5), dx=span + deep * 1.2, dy=cy))
    return [Part(shell, skin), Part(band, trim), Part(pad, cushion), Part(caps, Material(skin.accent, "satin"))]


def _watch(spec: ProductSpec, g: Genes) -> list[Part]:
    r, deep, wide = g.between(0.27, 0.34), g.between(0.07, 0.1), g.between(0.14, 0.18)
    loop_y, loop_z = g.between(0.5, 0.58), g.between(0.34, 0.4)
    dark = g.between(0, 1) < 0.4
    hoop = ellipse(0, loop_y, loop_z, loop_y - 0.03, 56)
    strap = across(tube(np.vstack([hoop, hoop[:1]]), (0.028, 0.028), wide / 0.028 * 0.9))
    z0 = loop_z
    case = facing(lathe(turned(smooth([(r * 0.88, -deep), (r, -deep * 0.3), (r, deep * 0.5), (r * 0.9, deep)], 24))))
    disc = facing(lathe(turned(np.array([(r * 0.84, 0.0), (r * 0.84, deep + 0.01), (r * 0.8, deep + 0.015)]))))
    crown = moved(sideways(lathe(turned(np.array([(0.04, -0.04), (0.04, 0.04)])))), dx=r + 0.03, dy=loop_y, dz=z0)
    skin = paint(spec)
    metal = plain(("silver", "gold", "black")[int(g.between(0, 2.99))], "metal")
    face, ink = ("#1d2026", "#f2efe6") if dark else ("#f6f3ea", "#1b1d22")
    dial = Material(linear(face), "glossy", linear(ink), dial=(0.0, loop_y, r * 0.84))
    return [
        Part(strap, skin),
        Part(union(moved(case, dy=loop_y, dz=z0), crown), metal),
        Part(moved(disc, dy=loop_y, dz=z0), dial),
    ]


def _sunglasses(spec: ProductSpec, g: Genes) -> list[Part]:
    rx, ry, gap = g.between(0.27, 0.32), g.between(0.2, 0.27), g.between(0.05, 0.08)
    power, thick = g.between(1.8, 4.5), g.between(0.028, 0.045)
    cx, cy = rx + gap, ry + 0.05
    rim = ellipse(cx, cy, rx, ry, 48, power)
    rims = mirrored(tube(np.vstack([rim, rim[:1]]), (thick, thick)))
    bridge = tube(
        smooth([(-gap - 0.02, cy + ry * 0.35), (0, cy + ry * 0.5), (gap + 0.02, cy + ry * 0.35)], 16), (thick, thick)
    )
    lens = mirrored(extrude(rim, 0.014, 0.01))
    hinge = (cx + rx * 0.98, cy + ry * 0.45, 0.0)
    arm = rod(hinge, (hinge[0] + 0.03, cy + ry * 0.4, -0.75), thick * 0.9, thick * 0.7)
    tip = rod((hinge[0] + 0.03, cy + ry * 0.4, -0.75), (hinge[0] + 0.02, cy - ry * 0.4, -1.0), thick * 0.8, thick * 0.7)
    tint = ("#20242c", "#3a2414", "#16304a", "#2c3a2a")[int(g.between(0, 3.99))]
    return [
        Part(union(rims, bridge), paint(spec)),
        Part(mirrored(union(arm, tip)), plain(spec.colour, spec.finish)),
        Part(lens, plain(tint, "glossy")),
    ]


def _toy_car(spec: ProductSpec, g: Genes) -> list[Part]:
    length, low, wheel = g.between(0.62, 0.72), g.between(0.3, 0.36), g.between(0.14, 0.18)
    roof, nose = g.between(0.56, 0.68), g.between(0.0, 0.2)
    deck = smooth_loop(
        [
            (-length, 0.12),
            (length, 0.12),
            (length + 0.03, low * 0.85),
            (length * (0.95 - nose), low),
            (-length * 0.95, low),
            (-length - 0.02, low * 0.8),
        ]
    )
    back = g.between(-0.62, -0.4) * length
    cabin = smooth_loop([(back - 0.12, low - 0.05), (0.42 * length, low - 0.05), (0.22 * length, roof), (back, roof)])
    glassy = smooth_loop(
        [
            (back - 0.04, low + 0.02),
            (0.33 * length, low + 0.02),
            (0.18 * length, roof - 0.06),
            (back + 0.03, roof - 0.06),
        ]
    )
    half = g.between(0.27, 0.32)
    tyre = facing(lathe(turned(np.array([(wheel * 0.8, -0.06), (wheel, -0.04), (wheel, 0.04), (wheel * 0.8, 0.06)]))))
    hub = facing(lathe(turned(np.array([(wheel * 0.5, -0.06), (wheel * 0.5, 0.075), (wheel * 0.3, 0.08)]))))
    at = length * 0.6

    def four(shape: Distance) -> Distance:
        return lambda x, y, z: shape(x.abs() - at, y - wheel, z.abs() - half)

    lamp = moved(fore_and_aft(ball(0.03, 0.05, 0.05), half * 0.62), dx=length + 0.01, dy=low * 0.66)
    skin = paint(spec, place(spec, (0.05, low * 0.66), (0.15, 0.11)), flat=True, density=5.0)
    parts = [Part(union(extrude(deck, half, 0.05), extrude(cabin, half * 0.86, 0.06)), skin)]
    parts.append(Part(extrude(glassy, half * 0.86 + 0.012, 0.015), plain("#28343f", "glossy")))
    parts.append(Part(four(tyre), plain("#1b1b1d", "matte")))
    parts.append(Part(four(hub), plain("silver", "metal")))
    return [*parts, Part(lamp, plain("#fff2c8", "glossy", glow=0.4))]


WEARABLES = (
    ProductClass(
        "backpack",
        _backpack,
        ("fabric", "fabric", "leather"),
        ("stripes", "dots", "checks", "dipped", "zigzag"),
        0.8,
        0.5,
        "Bags > Backpacks",
    ),
    ProductClass(
        "sneaker", _sneaker, ("fabric", "leather", "matte"), ("stripes", "dipped"), 0.8, 0.5, "Shoes > Sneakers"
    ),
    ProductClass("headphones", _headphones, ("matte", "satin", "glossy", "metal"), (), 0.0, 0.8, "Electronics > Audio"),
    ProductClass("watch", _watch, ("leather", "metal", "matte", "fabric"), (), 0.0, 0.6, "Accessories > Watches"),
    ProductClass(
        "sunglasses", _sunglasses, ("glossy", "satin", "metal", "matte"), (), 0.0, 0.6, "Accessories > Eyewear"
    ),
    ProductClass(
        "toy car", _toy_car, ("glossy", "satin", "metal", "wood"), ("stripes", "band"), 0.6, 0.7, "Toys > Vehicles"
    ),
)
"""The classes of this file."""
