"""Things for the table and the pantry: mug, bottle, vase, teapot, bowl, can, candle and box."""

import numpy as np

from infra.demo.materials import Material, linear
from infra.demo.shapes import ball, box, extrude, lathe, moved, outside, rod, smooth, tube, turned, union, vessel
from infra.demo.specs import Genes, Part, ProductClass, ProductSpec, paint, place, plain


def _mug(spec: ProductSpec, g: Genes) -> list[Part]:
    h, r, taper, belly = g.between(0.72, 0.98), g.between(0.33, 0.42), g.between(0.82, 1.12), g.between(-0.02, 0.05)
    outer = smooth([(r * taper * 0.94, 0.0), (r * taper, 0.04), (r + belly, h * 0.5), (r, h * 0.94), (r * 1.01, h)])
    reach, drop, thick = g.between(0.17, 0.27), g.between(0.2, 0.3), g.between(0.045, 0.065)
    mid = h * g.between(0.5, 0.56)
    curve = smooth(
        [(r * 0.9, mid + drop), (r + reach * 0.8, mid + drop * 0.85), (r + reach, mid), (r * 0.9, mid - drop)]
    )
    body = lathe(vessel(outer, 0.045, 0.06))
    handle = outside(tube(curve, (thick, thick * 0.85, thick), 1.25), lathe(turned(outer * [0.93, 1.2])))
    skin = paint(spec, place(spec, (0.0, h * 0.5), (r * 0.72, r * 0.72), r))
    handled = paint(spec) if spec.pattern is None else Material(skin.colour, spec.finish)
    return [Part(body, skin), Part(handle, handled)]


def _bottle(spec: ProductSpec, g: Genes) -> list[Part]:
    h, r, neck, shoulder = g.between(1.25, 1.5), g.between(0.24, 0.33), g.between(0.08, 0.13), g.between(0.55, 0.72)
    waist = g.between(0.86, 1.04)
    points = [(r * 0.9, 0), (r, 0.05), (r * waist, h * 0.3), (r, h * shoulder * 0.9), (r * 0.9, h * shoulder)]
    points += [(neck * 1.15, h * (shoulder + 0.16)), (neck, h * (shoulder + 0.22)), (neck, h * 0.93)]
    body = lathe(turned(smooth(points, 56)))
    cap_r, cap_h = neck * g.between(1.2, 1.6), h * g.between(0.08, 0.14)
    lid = lathe(turned(np.array([(cap_r, 0), (cap_r, cap_h * 0.85), (cap_r * 0.85, cap_h)])))
    high = h * g.between(0.3, 0.36)
    skin = paint(spec, place(spec, (0.0, high), (r * 0.85, r * 0.95), r))
    finish = ("metal", "wood", "matte")[int(g.between(0, 2.99))]
    top = plain("silver" if finish == "metal" else "#b98a58" if finish == "wood" else spec.accent, finish)
    return [Part(body, skin), Part(moved(lid, dy=h * 0.9), top)]


def _vase(spec: ProductSpec, g: Genes) -> list[Part]:
    h, foot, belly = g.between(1.05, 1.4), g.between(0.16, 0.26), g.between(0.32, 0.46)
    neck, lip, height = g.between(0.11, 0.22), g.between(0.16, 0.3), g.between(0.3, 0.55)
    points = [(foot * 0.95, 0), (foot, 0.03), (belly * 0.9, h * height * 0.62), (belly, h * height)]
    points += [(belly * 0.7, h * (height + 0.2)), (neck, h * (height + 0.34)), (lip, h)]
    body = lathe(vessel(smooth(points, 56), 0.04, 0.08))
    return [Part(body, paint(spec, place(spec, (0.0, h * height), (belly * 0.6, belly * 0.6), belly), density=4.0))]


def _teapot(spec: ProductSpec, g: Genes) -> list[Part]:
    r, h, lean = g.between(0.4, 0.5), g.between(0.55, 0.72), g.between(0.4, 0.6)
    body = smooth([(r * 0.62, 0), (r * 0.7, 0.03), (r, h * lean), (r * 0.82, h * 0.82), (r * 0.45, h)], 48)
    lid_h, knob = g.between(0.06, 0.12), g.between(0.05, 0.08)
    lid = lathe(turned(smooth([(r * 0.5, 0), (r * 0.48, 0.03), (r * 0.25, lid_h), (0.03, lid_h * 1.2)])))
    grip = moved(ball(knob, knob, knob), dy=h + lid_h + knob * 1.1)
    tip = g.between(0.78, 1.02) * h
    spout = smooth([(-r * 0.7, h * 0.3), (-r * 1.15, h * 0.38), (-r * 1.35, h * 0.68), (-r * 1.62, tip)], 24)
    reach, thick = g.between(0.24, 0.34), g.between(0.04, 0.055)
    ear = [(r * 0.72, h * 0.85), (r + reach * 0.8, h * 0.92), (r + reach, h * 0.5), (r * 0.85, h * 0.22)]
    solid = turned(body)
    hull = union(lathe(solid), tube(spout, (0.13, 0.09, 0.055, 0.05)), blend=0.06)
    handle = tube(smooth(ear, 24), (thick, thick * 0.9, thick), 1.2)
    skin = paint(spec, place(spec, (0.0, h * 0.5), (r * 0.55, r * 0.5), r))
    trim_finish = "wood" if g.between(0, 1) < 0.3 else spec.finish
    trim = plain("#a06a3c", "wood") if trim_finish == "wood" else plain(spec.colour, trim_finish)
    lid_skin = Material(skin.colour, spec.finish)
    return [Part(hull, skin), Part(handle, trim), Part(moved(lid, dy=h - 0.02), lid_skin), Part(grip, trim)]


def _bowl(spec: ProductSpec, g: Genes) -> list[Part]:
    r, h, foot, curve = g.between(0.55, 0.68), g.between(0.34, 0.5), g.between(0.4, 0.55), g.between(0.78, 0.95)
    outer = smooth([(r * foot, 0), (r * foot, 0.04), (r * curve, h * 0.45), (r * 0.98, h * 0.85), (r, h)], 44)
    skin = paint(spec, place(spec, (0.0, h * 0.55), (0.2, 0.17), r), density=g.between(5, 8))
    inside = plain("white" if g.between(0, 1) < 0.35 and spec.finish != "metal" else spec.colour, spec.finish)
    shell = vessel(outer, 0.04, 0.07)
    hollow = lathe(vessel(outer * [0.955, 1.0], 0.012, 0.078))
    return [Part(lathe(shell), skin), Part(moved(hollow, dy=-0.012), inside)]


def _can(spec: ProductSpec, g: Genes) -> list[Part]:
    h, r = g.between(0.95, 1.3), g.between(0.28, 0.36)
    rim = r * g.between(0.78, 0.9)
    points = np.array([(rim * 0.95, 0.0), (r, 0.07), (r, h - 0.1), (rim, h - 0.025)])
    skin = paint(spec, place(spec, (0.0, h * 0.5), (r * 0.85, r * g.between(0.85, 1.1)), r), density=4.0)
    edge = np.array([(rim * 1.02, 0.0), (rim * 1.02, 0.045), (rim * 0.94, 0.045), (rim * 0.9, 0.015)])
    tab = moved(box((0.06, 0.012, 0.1), 0.01), dy=h - 0.002, dz=0.02)
    silver = plain("silver", "metal")
    return [Part(lathe(turned(points)), skin), Part(moved(lathe(turned(edge)), dy=h - 0.04), silver), Part(tab, silver)]


def _candle(spec: ProductSpec, g: Genes) -> list[Part]:
    h, r = g.between(0.62, 0.9), g.between(0.3, 0.4)
    jarred = g.between(0, 1) < 0.55
    wax_h = h * (g.between(0.6, 0.8) if jarred else 1.0)
    flame_r = g.between(0.045, 0.06)
    wick = rod((0.0, wax_h - 0.02, 0.0), (0.0, wax_h + 0.08, 0.0), 0.012)
    flame = moved(ball(flame_r, flame_r * 2.4, flame_r), dy=wax_h + 0.09 + flame_r * 1.6)
    skin = paint(spec, place(spec, (0.0, h * 0.45), (r * 0.75, r * 0.7), r))
    lit = [Part(wick, plain("black")), Part(flame, plain("#ffc65c", glow=5.0))]
    if not jarred:
        pillar = smooth([(r * 0.98, 0), (r, 0.03), (r, h * 0.5), (r, h * 0.95), (r * 0.94, h), (r * 0.6, h - 0.02)])
        return [Part(lathe(turned(pillar)), skin), *lit]
    outer = smooth([(r * 0.95, 0), (r, 0.04), (r, h * 0.5), (r, h)], 30)
    wax = lathe(turned(np.array([(r - 0.05, 0.07), (r - 0.05, wax_h), (0.1, wax_h - 0.01)])))
    return [Part(lathe(vessel(outer, 0.04, 0.06)), skin), Part(wax, plain("#f4e3c0", "satin", glow=0.25)), *lit]


def _box(spec: ProductSpec, g: Genes) -> list[Part]:
    w, h, d = g.between(0.3, 0.5), g.between(0.32, 0.62), g.between(0.16, 0.34)
    size = min(w, h) * 0.72
    skin = paint(spec, place(spec, (0.0, h), (size, size)), flat=True, density=g.between(2.5, 4.5))
    parts = [Part(moved(box((w, h, d), 0.015), dy=h), skin)]
    if g.between(0, 1) < 0.35:  # a gift box: lid and ribbon
        ribbon = Material(linear("#f2f1ee"), "satin") if spec.colour != "white" else plain("red", "satin")
        parts = [
            Part(moved(box((w, h, d), 0.015), dy=h), Material(skin.colour, spec.finish, skin.accent, spec.pattern))
        ]
        parts.append(
            Part(moved(box((w + 0.03, 0.09, d + 0.03), 0.015), dy=2 * h - 0.06), plain(spec.colour, spec.finish))
        )
        band = union(box((0.06, h + 0.015, d + 0.042), 0.01), box((w + 0.042, h + 0.015, 0.05), 0.01))
        bow = extrude(np.array([(0, 0), (0.2, 0.14), (0.24, 0.02), (0.2, -0.02)]), 0.05, 0.02)
        loops = union(moved(bow, dy=2 * h + 0.06), lambda x, y, z: bow(-x, y - 2 * h - 0.06, z))
        parts += [Part(moved(band, dy=h + 0.02), ribbon), Part(loops, ribbon)]
    return parts


_CERAMIC = ("matte", "glossy", "glossy", "satin")
TABLEWARE = (
    ProductClass("mug", _mug, (*_CERAMIC, "metal"), category="Home & Kitchen > Drinkware", yaw=0.7),
    ProductClass(
        "bottle", _bottle, ("glossy", "glass", "glass", "metal", "matte"), category="Home & Kitchen > Drinkware"
    ),
    ProductClass("vase", _vase, (*_CERAMIC, "glass"), labels=0.25, category="Home > Decor", yaw=3.1),
    ProductClass("teapot", _teapot, (*_CERAMIC, "metal"), labels=0.35, category="Home & Kitchen > Tea"),
    ProductClass("bowl", _bowl, (*_CERAMIC, "metal", "wood"), labels=0.2, category="Home & Kitchen > Tableware"),
    ProductClass("can", _can, ("satin", "metal", "glossy"), labels=0.9, category="Grocery > Drinks", yaw=0.5),
    ProductClass("candle", _candle, ("matte", "satin", "satin", "glass"), labels=0.6, category="Home > Fragrance"),
    ProductClass("box", _box, ("matte", "satin"), labels=0.7, category="Gifts > Boxes"),
)
"""The classes of this file."""
