"""Words for photographs: what a product is called and where it stands."""

import numpy as np

from infra.demo.materials import COLOURS, MARKS, METALS
from infra.demo.products import classes
from infra.demo.scenes import MOODS, SCENES, Scene
from infra.demo.specs import ProductSpec

_PATTERN_WORDS = {
    "stripes": ("striped", "with {a} stripes"),
    "pinstripes": ("striped", "with {a} vertical stripes"),
    "dots": ("dotted", "with {a} dots"),
    "checks": ("checkered", "with {a} checks"),
    "band": ("", "with a {a} band"),
    "dipped": ("", "with a {a} base"),
    "speckled": ("speckled", "with {a} speckles"),
    "zigzag": ("zigzag", "with a {a} zigzag pattern"),
}
_FINISH_WORDS = {
    "matte": ("matte",),
    "glossy": ("glossy", "shiny"),
    "satin": ("",),
    "metal": ("metal", "metallic"),
    "glass": ("glass",),
    "fabric": ("fabric", ""),
    "leather": ("leather",),
    "wood": ("wooden",),
}


def describe(spec: ProductSpec, rng: np.random.Generator, detail: float = 0.5) -> str:
    """A noun phrase for the product, without its article; `detail` is how likely finish, pattern and mark are named."""
    words = [spec.colour]
    if rng.random() < detail:
        words.insert(0, str(rng.choice(_FINISH_WORDS[spec.finish])))
    tail = ""
    if spec.pattern and rng.random() < max(detail, 0.6):
        short, long = _PATTERN_WORDS[spec.pattern]
        if short and rng.random() < 0.3:
            words.insert(0, short)
        else:
            tail = " " + long.format(a=spec.accent)
    elif spec.label and rng.random() < detail * 0.8:
        tail = f" with a {spec.label.mark} logo"
    return " ".join(w for w in (*words, spec.class_noun) if w) + tail


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def caption(spec: ProductSpec, scene: Scene, mood: str, rng: np.random.Generator) -> str:
    """A caption of the product in the scene, worded as prompts are: from the bare noun to the whole setting."""
    draw = rng.random()
    noun = spec.class_noun if draw < 0.1 else describe(spec, rng, 0.0 if draw < 0.4 else 0.6)
    start = str(rng.choice(["a photo of ", "a photo of ", "a photo of ", "a product photo of ", "photo of ", ""]))
    text = start + (_article(noun) if (noun != "sunglasses" and noun != "headphones") or rng.random() < 0.8 else noun)
    place, background = str(rng.choice(scene.places)), str(rng.choice(scene.backgrounds))
    form = rng.random()
    if form < 0.08:
        return text
    if form < 0.4:
        text += f" {place}"
    elif form < 0.5:
        text += f", {background}"
    elif form < 0.75:
        text += f" {place}, {background}"
    else:
        text += f", {place}, {background}"
    return text + (f", {mood}" if rng.random() < 0.45 else "")


def empty_caption(scene: Scene, mood: str, rng: np.random.Generator) -> str:
    """A caption of the scene with nothing in it."""
    start = str(rng.choice(["a photo of ", "", "", "background photo of "]))
    text = start + str(rng.choice(scene.empty))
    if rng.random() < 0.5:
        text += ", " + str(rng.choice(scene.backgrounds))
    return text + (f", {mood}" if rng.random() < 0.5 else "")


def vocabulary() -> list[str]:
    """Every phrase that captions are made of."""
    phrases = [*classes(), *COLOURS, *METALS, *MOODS, *MARKS]
    for scene in SCENES.values():
        phrases += [*scene.places, *scene.backgrounds, *scene.empty]
    phrases += [w for words in _PATTERN_WORDS.values() for w in words]
    phrases += [w for words in _FINISH_WORDS.values() for w in words]
    return [p.replace("{a}", "") for p in phrases] + ["a an photo of product background with logo"]
