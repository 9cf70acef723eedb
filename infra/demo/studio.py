"""The demo studio: one seed gives one product, one scene, one photograph with its exact mask, and captions for it."""

from dataclasses import dataclass

import numpy as np

from infra.demo.captions import caption, empty_caption
from infra.demo.products import build, classes, random_product
from infra.demo.renderer import Photograph, Pose, photograph
from infra.demo.scenes import SCENES, Scene, set_up
from infra.demo.specs import Part, ProductSpec

VERSION = "2"
"""Changes whenever the same seed would give another photograph."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A photograph with what it shows. `product` is None for an empty scene."""

    photograph: Photograph
    product: ProductSpec | None
    scene: str
    mood: str
    captions: tuple[str, ...]


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene drawn by its weight."""
    weights = np.array([s.weight for s in SCENES.values()])
    return list(SCENES.values())[int(rng.choice(len(weights), p=weights / weights.sum()))]


def random_pose(rng: np.random.Generator, yaw: float) -> Pose:
    """A pose as product photographers choose it: nearly frontal, slightly from above, the product filling the frame."""
    return Pose(
        yaw=float(rng.uniform(-yaw, yaw)),
        pitch=float(rng.uniform(0.14, 0.5)),
        fill=float(rng.uniform(0.5, 0.8)),
        shift=(float(rng.uniform(-0.07, 0.07)), float(rng.uniform(-0.05, 0.05))),
    )


def shoot(
    spec: ProductSpec | None,
    scene: Scene,
    seed: int,
    size: int = 128,
    parts: list[Part] | None = None,
    pose: Pose | None = None,
    mood: str | None = None,
    captions: int = 3,
) -> Shot:
    """Photograph a product (or nothing) in a scene; light, details and pose follow from the seed unless they are given.

    `parts` may hold `build(spec)` where a product is photographed more than once.
    """
    rng = np.random.default_rng([seed, 7])
    mood = mood or str(rng.choice(scene.moods))
    stage = set_up(scene, rng, mood)
    pose = pose or random_pose(rng, classes()[spec.class_noun].yaw if spec else 0.0)
    solid = (parts or build(spec)) if spec else None
    words = [caption(spec, scene, mood, rng) if spec else empty_caption(scene, mood, rng) for _ in range(captions)]
    return Shot(photograph(solid, stage, pose, size), spec, scene.name, mood, tuple(words))


def random_shots(seed: int, count: int, size: int = 128, empty: float = 0.12) -> list[Shot]:
    """`count` photographs of one random product, each in a scene of its own; a share of them shows the empty scene."""
    rng = np.random.default_rng([seed, 11])
    spec = random_product(rng)
    parts = build(spec)
    shots = []
    for i in range(count):
        bare = rng.random() < empty
        scene = random_scene(rng)
        shots.append(shoot(None if bare else spec, scene, seed * 64 + i, size, None if bare else parts))
    return shots
