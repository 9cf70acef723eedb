"""Which variants a product gets: the matrix of the configuration, resolved to specs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.entries import Background, Colour, Scene
from configs.library import Library
from configs.places import scene_at
from configs.schema import GenerationConfig, MatrixRule, VariantMatrix
from tasks.planning.own_colours import backgrounds_named, colours_named, word_for
from tasks.techniques import WHITE, Technique, Words, find_guided, find_technique, version_of

NO_SCENE = Scene.model_construct(name="plain", title="Plain", group="", prompt="")
NO_COLOUR = Colour(name="original", title="Original")
NO_BACKGROUND = Background(name="scene", title="The scene's own")


@dataclass(frozen=True)
class Drawing:
    """What all variants of a SKU share: see the fields of `VariantSpec`. `scene_photos` are those of each scene."""

    token: str
    adapter_id: str
    base_model: str
    references: tuple[str, ...]
    resolution: int
    renderer_version: int
    colour: str = ""  # the product's own, in words; empty where prompts do not name it
    colour_hex: str = ""  # and its code; empty where it is not known
    controlnet: str = ""
    upscaler: str = ""
    scene_photos: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Combination:
    technique: str
    scene: Scene
    colour: Colour
    background: Background
    image: int


def expand(
    item: Product, matrix: VariantMatrix, generation: GenerationConfig, library: Library, drawing: Drawing
) -> list[VariantSpec]:
    """The product's variants, at most `matrix.limit_per_sku`: techniques take turns, each at the scene least shown yet.

    A dimension that a technique does not use is held at its neutral value, so that it makes no doubles: before a flat
    background there is no scene, and without a scene a background is flat or white.
    """
    include, exclude = (
        tuple(rule for rule in rules if _is_about(rule, item)) for rules in (matrix.include, matrix.exclude)
    )
    if matrix.include and not include:  # no need to look at each of its combinations
        return []
    about = matrix.model_copy(update={"include": include, "exclude": exclude})
    columns = [_Column(name, item, about, library) for name in matrix.techniques]
    shown = Counter[str]()
    taken: list[_Combination] = []
    while columns and len(taken) < matrix.limit_per_sku:
        column = columns.pop(0)
        one = column.take(shown)
        if one is not None:
            taken.append(one)
            shown[one.scene.name] += 1
            columns.append(column)
    return [_spec(one, item, generation, drawing) for one in taken]


class _Column:
    """The wanted combinations of one technique, scene by scene; made one at a time, since a matrix can be large."""

    def __init__(self, technique: str, item: Product, matrix: VariantMatrix, library: Library) -> None:
        uses = find_technique(technique).DIMENSIONS
        self.technique, self.item, self.matrix = technique, item, matrix
        self.colours = colours_named(matrix.colours, library) if "colour" in uses else [NO_COLOUR]
        self.images = range(matrix.images) if "seed" in uses else range(1)
        named = backgrounds_named(matrix.backgrounds, library) if "background" in uses else [NO_BACKGROUND]
        if "scene" not in uses:
            plain = {one.hex or WHITE: one if one.hex else NO_BACKGROUND for one in named}
            self.left = {NO_SCENE.name: self._wanted(NO_SCENE, list(plain.values()))}
            return
        flat, others = [one for one in named if one.hex], [one for one in named if not one.hex]
        as_it_is = [NO_BACKGROUND] if others else []  # words change no photograph
        self.left = {
            scene.name: self._wanted(scene, as_it_is if _shows_photo(technique, scene) else others)
            for scene in _scenes(item, matrix, library)
        }
        self.left |= {NO_SCENE.name: self._wanted(NO_SCENE, flat)}

    def _wanted(self, scene: Scene, backgrounds: list[Background]) -> Iterator[_Combination]:
        for image, background, colour in product(self.images, backgrounds, self.colours):
            one = _Combination(self.technique, scene, colour, background, image)
            if _is_wanted(one, self.matrix):
                yield one

    def take(self, shown: Counter[str]) -> _Combination | None:
        """The next combination, in the scene that was shown least; None where all are taken."""
        while self.left:
            scene = min(self.left, key=lambda name: shown[name])
            one = next(self.left[scene], None)
            if one is not None:
                return one
            del self.left[scene]
        return None


def _scenes(item: Product, matrix: VariantMatrix, library: Library) -> list[Scene]:
    """The matrix's scenes that suit the product, and its places."""
    suitable = {scene.name for scene in library.scenes_for(item.category, item.class_noun)}
    named = [scene for scene in library.scenes_named(matrix.scenes) if scene.name in suitable]
    return named + [scene_at(place, library.scenes) for place in matrix.places]


def _shows_photo(technique: str, scene: Scene) -> bool:
    """Whether the product is put into a photograph of the scene; a model that draws it there goes by words."""
    return bool(scene.photos) and find_technique(technique).SOURCE_TYPE == "composite"


def _is_about(rule: MatrixRule, item: Product) -> bool:
    """Whether the rule matches any variant of the product."""
    is_named = not rule.skus or item.sku in rule.skus
    return is_named and (not rule.categories or any(map(item.is_in, rule.categories)))


def _is_wanted(one: _Combination, matrix: VariantMatrix) -> bool:
    """Whether the rules, all of which are about the product, want the combination."""
    included = not matrix.include or any(_matches(rule, one) for rule in matrix.include)
    return included and not any(_matches(rule, one) for rule in matrix.exclude)


def _matches(rule: MatrixRule, one: _Combination) -> bool:
    pairs = (
        (rule.scenes, (one.scene.name, one.scene.group)),
        (rule.colours, (one.colour.name, one.colour.hex)),
        (rule.backgrounds, (one.background.name, one.background.hex)),
        (rule.techniques, (one.technique,)),
    )
    return all(not allowed or not set(allowed).isdisjoint(values) for allowed, values in pairs)


def _spec(one: _Combination, item: Product, generation: GenerationConfig, drawing: Drawing) -> VariantSpec:
    technique: Technique = find_technique(one.technique)
    guided = find_guided(one.technique)
    words = Words(item, drawing.token, one.scene, one.colour, one.background, drawing.colour)
    prompt, scene_prompt = technique.prompt(words), guided.scene(words) if guided else ""
    photos = drawing.scene_photos[one.scene.name] if _shows_photo(one.technique, one.scene) else ()
    upscaler = drawing.upscaler if prompt and not photos else ""
    of_photo = technique.SOURCE_TYPE != "generated"
    negatives = (generation.negative_prompt, one.scene.negative_prompt) if prompt else ()
    return VariantSpec(
        sku=item.sku,
        scene=one.scene.name,
        colour=one.colour.name,
        background=one.background.name,
        technique=one.technique,
        seed=generation.seed + one.image,
        prompt=prompt,
        negative_prompt=", ".join(text for text in negatives if text),
        colour_hex=one.colour.hex,
        background_hex=one.background.hex,
        adapter_id=drawing.adapter_id if technique.USES_ADAPTER else "",
        base_model=drawing.base_model if prompt else "",
        references=drawing.references,
        steps=generation.steps if prompt else 0,
        guidance=generation.guidance if prompt else 0.0,
        scheduler=generation.scheduler if prompt else "",
        width=drawing.resolution,
        height=drawing.resolution,
        surface=one.scene.surface,
        renderer_version=drawing.renderer_version,
        side_maximum=generation.side_maximum if upscaler or of_photo else None,
        scene_prompt=scene_prompt,
        strength=guided.strength(generation) if guided else None,
        controlnet=drawing.controlnet if guided and guided.GUIDE == "edges" else "",
        upscaler=upscaler,
        technique_version=version_of(technique),
        scene_photo=photos[one.image % len(photos)] if photos else "",
        across=one.scene.unusual("across"),
        size=one.scene.unusual("size"),
        colour_word=word_for(one.colour),
        own_colour_hex=drawing.colour_hex if one.colour.hex and of_photo else "",
    )
