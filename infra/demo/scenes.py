"""The scenes that the studio can set up: what they are called in captions, and how each becomes a stage."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import Tensor

from infra.demo import views
from infra.demo.materials import linear
from infra.demo.shapes import ball, lathe, moved, smooth, turned
from infra.demo.specs import Part, plain
from infra.demo.stage import Ground, Light, Stage

Painter = Callable[[np.random.Generator], Tensor]

MOODS: dict[str, tuple[float, str, float, str, float]] = {
    # key strength, key colour, softness, sky colour, sky strength
    "soft daylight": (0.62, "#fff8f0", 0.42, "#f4f8ff", 0.52),
    "warm light": (0.78, "#ffe0b4", 0.3, "#fff0e2", 0.38),
    "bright light": (0.85, "#ffffff", 0.3, "#ffffff", 0.5),
    "window light": (0.95, "#fff2dc", 0.14, "#eaf1fb", 0.38),
    "golden hour light": (0.95, "#ffc67e", 0.2, "#e6d8ee", 0.34),
    "studio lighting": (0.7, "#ffffff", 0.5, "#ffffff", 0.5),
    "moody light": (0.6, "#ffeedd", 0.25, "#c9d2e6", 0.16),
    "cool light": (0.7, "#e4efff", 0.35, "#e6f0ff", 0.45),
}
"""Light moods by the words that captions use for them."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A setting. `places` are the words for where the product stands, `backgrounds` those for what lies behind.

    `empty` names the scene without a product; `moods` are the lights that suit it.
    """

    name: str
    places: tuple[str, ...]
    backgrounds: tuple[str, ...]
    empty: tuple[str, ...]
    ground: tuple[str, str, str]  # texture, base and detail hex
    view: Painter
    moods: tuple[str, ...] = ("soft daylight", "warm light", "bright light", "window light")
    scale: float = 1.0
    depth: float = 1.5
    far: float = 2.6
    gloss: float = 0.0
    seamless: bool = False
    props: str = ""
    weight: float = 1.0


def _studio(name: str, colour: str, words: tuple[str, ...]) -> Scene:
    dark = name == "black"
    return Scene(
        name=f"{name}_studio",
        places=("in a studio", *(f"on a {w} backdrop" for w in words)),
        backgrounds=tuple(f"{w} background" for w in words),
        empty=tuple(f"an empty studio with a {w} backdrop" for w in words),
        ground=("plain", colour, colour),
        view=views.paper(colour, 0.5 if dark else 0.98),
        moods=("studio lighting", "soft daylight", "bright light"),
        depth=2.0,
        far=2.2,
        gloss=0.12 if dark else 0.0,
        seamless=True,
        weight=2.6 if name == "white" else 0.7,
    )


_STUDIOS = tuple(
    _studio(name, colour, words)
    for name, colour, words in (
        ("white", "#fbfbfa", ("plain white", "white", "clean white studio")),
        ("grey", "#b4b6b8", ("grey", "light grey")),
        ("beige", "#e3d3bb", ("beige", "cream")),
        ("pink", "#f3bccb", ("pastel pink", "pink")),
        ("blue", "#a9cbe8", ("pastel blue", "light blue")),
        ("mint", "#b4dfc9", ("pastel mint", "mint green")),
        ("yellow", "#f5d774", ("yellow", "pastel yellow")),
        ("lilac", "#c9b8e4", ("lilac", "pastel purple")),
        ("orange", "#eb9a5e", ("orange", "peach")),
        ("red", "#b93036", ("red", "deep red")),
        ("green", "#4f7d5f", ("dark green", "green")),
        ("navy", "#26365f", ("navy blue", "dark blue")),
        ("black", "#26272b", ("black", "dark")),
    )
)

_OAK, _WALNUT, _WHITEWOOD = (
    ("wood", "#c99a62", "#9a6a3a"),
    ("wood", "#7d5233", "#4e301d"),
    ("wood", "#e4d8c6", "#cdbda6"),
)
_MARBLE, _DARKSTONE = ("marble", "#eeece9", "#8d9197"), ("stone", "#5a5c60", "#3e4044")


def _settings() -> Iterator[Scene]:
    """The scenes that scenes.yaml describes."""
    text = Path(__file__).with_name("scenes.yaml").read_text(encoding="utf-8")
    for name, told in yaml.safe_load(text).items():
        kind, _, colour = told.pop("view").partition(" ")
        painter = getattr(views, kind)
        lists: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
        yield Scene(name=name, view=painter(colour) if colour else painter, **lists)


SCENES: dict[str, Scene] = {s.name: s for s in (*_STUDIOS, *_settings())}
"""All scenes by name."""


def _light(rng: np.random.Generator, mood: str) -> tuple[Light, tuple[float, float, float]]:
    strength, colour, soft, sky, sky_strength = MOODS[mood]
    low = mood in ("golden hour light", "window light")
    side = float(rng.choice([-1, 1]))
    key = tuple(c * strength * float(rng.uniform(0.9, 1.1)) for c in linear(colour))
    light = Light(
        azimuth=side * float(rng.uniform(0.5, 1.5)),
        elevation=float(rng.uniform(0.45, 0.75) if low else rng.uniform(0.75, 1.15)),
        colour=(key[0], key[1], key[2]),
        softness=soft,
    )
    ambient = tuple(c * sky_strength for c in linear(sky))
    return light, (ambient[0], ambient[1], ambient[2])


def _podium(rng: np.random.Generator) -> list[Part]:
    colour = str(rng.choice(["#f7f3ee", "#f6dfe0", "#efd7c4"]))
    profile = smooth([(0.86, 0.0), (0.86, 0.02), (0.86, 0.1), (0.86, 0.2), (0.84, 0.22), (0.7, 0.22)], 40)
    return [Part(lathe(turned(profile)), plain(colour))]


def _baubles(rng: np.random.Generator) -> list[Part]:
    parts = []
    for side in (-1, 1):
        for _ in range(int(rng.integers(1, 3))):
            r = float(rng.uniform(0.1, 0.17))
            x, z = side * float(rng.uniform(0.75, 1.15)), float(rng.uniform(-0.6, 0.15))
            colour = str(rng.choice(["#c01f2a", "#c01f2a", "#d9a93c", "#1f6a3c"]))
            parts.append(Part(moved(ball(r, r, r), x, r, z), plain(colour, "glossy")))
    return parts


def set_up(scene: Scene, rng: np.random.Generator, mood: str) -> Stage:
    """The scene as a stage, its details drawn from `rng`, in the light of `mood` (a key of `MOODS`)."""
    light, sky = _light(rng, mood)
    kind, base, detail = scene.ground
    tint = 1 + rng.uniform(-0.06, 0.06, 3)
    tones = [tuple(float(c * t) for c, t in zip(linear(h), tint, strict=True)) for h in (base, detail)]
    turn = float(rng.uniform(-0.25, 0.25)) if kind in ("wood", "leaves", "tiles") else float(rng.uniform(0, 6.28))
    if kind == "checked":
        turn = float(rng.uniform(-0.4, 0.4))
    offset = float(rng.uniform(0, 8)), float(rng.uniform(0, 8))
    surface = Ground(kind, tones[0], tones[1], scene.scale, offset, turn)  # type: ignore[arg-type]
    view = scene.view(rng)
    dim = float(np.clip((sum(light.colour) / 3 + sum(sky) / 3) / 1.12, 0.35, 1.06))
    warm = np.array(light.colour) + np.array(sky)
    tinted = view * (view.new_tensor(warm / warm.mean()).clamp(0.75, 1.2) ** 0.6 * dim)[:, None, None]
    props = {"": list, "baubles": lambda: _baubles(rng), "podium": lambda: _podium(rng)}[scene.props]()
    return Stage(
        light=light,
        sky=sky,
        surface=surface,
        view=tinted.float(),
        far=scene.far,
        depth=scene.depth,
        gloss=scene.gloss,
        seamless=1.0 if scene.seamless else 0.0,
        panes=1.0 if mood == "window light" else 0.0,
        pedestal_height=0.22 if scene.props == "podium" else 0.0,
        props=props,
    )
