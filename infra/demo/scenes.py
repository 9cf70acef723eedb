"""The scenes that the studio can set up: what they are called in captions, and how each becomes a stage."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from infra.demo import views
from infra.demo.materials import linear
from infra.demo.products import Part, plain
from infra.demo.shapes import ball, lathe, moved, smooth, turned
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

_OAK, _WALNUT, _WHITEWOOD = ("wood", "#c99a62", "#9a6a3a"), ("wood", "#7d5233", "#4e301d"), ("wood", "#e4d8c6", "#cdbda6")
_MARBLE, _DARKSTONE = ("marble", "#eeece9", "#8d9197"), ("stone", "#5a5c60", "#3e4044")

_SETTINGS = (
    Scene("wooden_table", ("on a wooden table", "on an oak table"), ("beige wall background", "plain wall background"),
          ("an empty wooden table", "an empty oak table top"), _OAK, views.plaster("#ded3c2"), weight=2.0, gloss=0.06),
    Scene("dark_wooden_table", ("on a dark wooden table", "on a walnut table"), ("dark grey wall background", "dark background"),
          ("an empty dark wooden table", "an empty walnut table"), _WALNUT, views.plaster("#5b5c5e"), ("warm light", "moody light", "window light"), gloss=0.1),
    Scene("marble_table", ("on a marble table", "on a marble counter", "on white marble"), ("light grey wall background", "white wall background"),
          ("an empty marble table", "an empty marble counter"), _MARBLE, views.plaster("#dcdfe2"), weight=1.6, gloss=0.22),
    Scene("concrete", ("on a concrete slab", "on a concrete table"), ("concrete wall background", "grey concrete background"),
          ("an empty concrete table",), ("concrete", "#a3a4a3", "#838585"), views.plaster("#b1b2b1"), ("cool light", "window light", "soft daylight")),
    Scene("linen", ("on a linen tablecloth", "on linen fabric"), ("cream background", "soft beige background"),
          ("an empty linen tablecloth", "empty linen fabric"), ("linen", "#e9dfcc", "#cdbfa6"), views.plaster("#eae1d2")),
    Scene("shelf", ("on a wooden shelf", "on a book shelf"), ("books in the background", "painted wall and books in the background"),
          ("an empty wooden shelf with books", "an empty shelf"), _OAK, views.shelf_wall, depth=0.75, far=1.0),
    Scene("window_sill", ("on a white table by the window", "on a window sill"), ("window light and shadows on the wall", "white wall background"),
          ("an empty white table by the window", "an empty window sill"), ("plain", "#efece6", "#efece6"), views.plaster("#ece7de"), ("window light", "golden hour light"), weight=1.2),
    Scene("terrazzo", ("on a terrazzo counter", "on terrazzo"), ("pastel wall background", "pastel green wall background"),
          ("an empty terrazzo counter",), ("terrazzo", "#e6e1da", "#c77f62"), views.plaster("#b9d3c4"), gloss=0.12),
    Scene("kitchen", ("in a kitchen", "on a kitchen counter", "on a kitchen table"), ("kitchen background", "blurred kitchen background", "kitchen tiles in the background"),
          ("an empty kitchen counter", "an empty table in a kitchen"), _OAK, views.kitchen, weight=1.8, gloss=0.08),
    Scene("marble_kitchen", ("on a marble kitchen counter", "in a bright kitchen"), ("kitchen background", "white kitchen background"),
          ("an empty marble kitchen counter",), _MARBLE, views.kitchen, gloss=0.2),
    Scene("living_room", ("in a living room", "on a table in a living room", "on a coffee table"), ("living room background", "sofa in the background", "cozy living room background"),
          ("an empty table in a living room", "an empty coffee table"), _WALNUT, views.living_room, weight=1.8, gloss=0.08),
    Scene("bathroom", ("in a bathroom", "on a bathroom shelf"), ("bathroom background", "blue tiles in the background", "bathroom tiles background"),
          ("an empty bathroom shelf", "an empty bathroom"), ("plain", "#f1f2f0", "#f1f2f0"), views.bathroom, weight=1.4, gloss=0.2),
    Scene("bedroom", ("in a bedroom", "on a bedside table"), ("bedroom background", "pillows in the background"),
          ("an empty bedside table", "an empty table in a bedroom"), _WHITEWOOD, views.bedroom),
    Scene("office", ("on an office desk", "on a desk"), ("office background", "computer screen in the background"),
          ("an empty office desk",), _WHITEWOOD, views.office, ("soft daylight", "cool light", "bright light")),
    Scene("cafe", ("in a cafe", "on a cafe table"), ("warm bokeh lights in the background", "blurred lights background"),
          ("an empty cafe table", "an empty wooden table in a cafe"), _WALNUT, views.cafe, ("warm light", "moody light"), gloss=0.2),
    Scene("picnic", ("on a picnic blanket", "at a picnic"), ("green garden background", "garden background"),
          ("an empty picnic blanket",), ("checked", "#f5f1ea", "#c8313a"), views.garden, ("bright light", "soft daylight"), depth=1.8, far=2.8),
    Scene("garden", ("in a garden", "on green grass", "on the lawn"), ("garden background", "hedges and blue sky in the background", "green garden and sky"),
          ("an empty lawn in a garden", "an empty garden"), ("grass", "#4f8f34", "#86b94e"), views.garden, ("bright light", "golden hour light", "soft daylight"), depth=2.3, far=2.7, weight=1.6),
    Scene("garden_table", ("on a garden table", "on a wooden table in the garden"), ("garden background", "green hedges in the background"),
          ("an empty wooden table in the garden",), _OAK, views.garden, ("bright light", "soft daylight")),
    Scene("beach", ("on the beach", "on sand at the beach", "on beach sand"), ("sea and blue sky background", "ocean background", "sea in the background"),
          ("an empty beach", "empty sand at the beach"), ("sand", "#ecd3a2", "#d6b67f"), views.beach, ("bright light", "golden hour light"), depth=2.4, far=2.7, weight=1.6),
    Scene("sunset", ("on a stone ledge at sunset", "at sunset"), ("sunset sky background", "orange sunset in the background"),
          ("an empty stone ledge at sunset",), ("stone", "#97785f", "#6f5445"), views.sunset, ("golden hour light",), weight=1.2),
    Scene("forest", ("in a forest", "on a mossy rock in the forest"), ("forest background", "trees in the background"),
          ("an empty mossy rock in a forest",), ("stone", "#5d7a3d", "#43562f"), views.forest, ("soft daylight", "cool light")),
    Scene("autumn", ("among autumn leaves", "on a wooden table with autumn leaves"), ("autumn background", "autumn trees in the background", "golden autumn background"),
          ("an empty wooden table with autumn leaves", "autumn leaves"), ("leaves", "#8a5a34", "#d2702a"), views.autumn, ("golden hour light", "warm light"), weight=1.5),
    Scene("winter", ("in the snow", "on snow"), ("winter background", "snowy trees in the background", "winter forest background"),
          ("empty snow in winter", "an empty snowy forest"), ("snow", "#f2f5f9", "#d5e1ee"), views.winter, ("cool light", "bright light", "soft daylight"), weight=1.4),
    Scene("christmas", ("at christmas", "on a table at christmas", "with christmas baubles"), ("christmas tree background", "christmas tree and lights in the background", "christmas background"),
          ("an empty table at christmas", "an empty christmas table with baubles"), ("snow", "#f1efec", "#dfe3e8"), views.christmas, ("warm light", "soft daylight"), props="baubles", weight=1.8),
    Scene("spring", ("on a white table in spring", "in spring"), ("cherry blossom background", "spring blossom background"),
          ("an empty white table in spring",), _WHITEWOOD, views.spring, ("bright light", "soft daylight"), weight=1.2),
    Scene("city_night", ("at night", "on a dark glossy table"), ("city lights background", "night city lights in the background"),
          ("an empty dark table at night",), _DARKSTONE, views.night, ("cool light", "moody light"), gloss=0.45),
    Scene("brick_wall", ("on a wooden table", "on a rustic table"), ("brick wall background",),
          ("an empty wooden table with a brick wall",), _WALNUT, views.bricks, ("warm light", "soft daylight")),
    Scene("stone", ("on dark slate", "on a stone slab"), ("dark grey background", "dark stone background"),
          ("an empty dark slate",), _DARKSTONE, views.plaster("#47494d"), ("moody light", "studio lighting", "cool light"), gloss=0.1),
    Scene("podium", ("on a round podium", "on a pastel podium", "on a pedestal"), ("pastel pink background", "pastel background"),
          ("an empty round podium", "an empty pastel podium"), ("plain", "#f0c7cd", "#f0c7cd"), views.paper("#f3cdd3"), ("studio lighting", "bright light"), depth=2.0, far=2.2, seamless=True, props="podium", weight=1.4),
    Scene("kitchen_tiles", ("on white tiles",), ("green wall background", "sage green background"),
          ("an empty white tiled counter",), ("tiles", "#eef0ee", "#a9b0ac"), views.plaster("#9db39a"), gloss=0.15, scale=0.8),
)  # fmt: skip

SCENES: dict[str, Scene] = {s.name: s for s in (*_STUDIOS, *_SETTINGS)}
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
