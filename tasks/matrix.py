"""Which variants a product gets: the matrix of the configuration, resolved to specs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product, zip_longest

from catalog_schemas.product import Product
from catalog_schemas.variant import VariantSpec
from configs.library import Library
from configs.schema import Background, Colour, GenerationConfig, MatrixRule, Scene, VariantMatrix
from tasks.techniques import Technique, Words, find_technique

NO_SCENE = Scene(name="plain", title="Plain", group="studio", prompt="", empty_prompt="")
NO_COLOUR = Colour(name="original", title="Original")
NO_BACKGROUND = Background(name="scene", title="The scene's own")


@dataclass(frozen=True)
class Drawing:
    """What all variants of a SKU share: see the fields of `VariantSpec`."""

    token: str
    adapter_id: str
    base_model: str
    references: tuple[str, ...]
    resolution: int
    renderer_version: int


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
    """The product's variants, at most `matrix.limit_per_sku`, techniques taking turns and scenes coming first.

    A dimension that a technique does not use is held at its neutral value, so that it makes no doubles.
    """
    columns = [_combinations(name, item, matrix, library) for name in matrix.techniques]
    turns = chain.from_iterable(zip_longest(*columns))
    kept = [one for one in turns if one is not None and _is_wanted(one, item, matrix)]
    return [_spec(one, item, generation, drawing) for one in kept[: matrix.limit_per_sku]]


def _combinations(technique: str, item: Product, matrix: VariantMatrix, library: Library) -> Iterable[_Combination]:
    uses = find_technique(technique).DIMENSIONS
    scenes = _scenes(item, matrix, library) if "scene" in uses else [NO_SCENE]
    colours = [library.colours[name] for name in matrix.colours] if "colour" in uses else [NO_COLOUR]
    backgrounds = (
        [library.backgrounds[name] for name in matrix.backgrounds] if "background" in uses else [NO_BACKGROUND]
    )
    images = range(matrix.images) if "seed" in uses else range(1)
    for image, background, colour, scene in product(images, backgrounds, colours, scenes):
        yield _Combination(technique, scene, colour, background, image)


def _scenes(item: Product, matrix: VariantMatrix, library: Library) -> list[Scene]:
    """The matrix's scenes that suit the product."""
    suitable = {scene.name for scene in library.scenes_for(item.category, item.class_noun)}
    return [scene for scene in library.scenes_named(matrix.scenes) if scene.name in suitable]


def _is_wanted(one: _Combination, item: Product, matrix: VariantMatrix) -> bool:
    included = not matrix.include or any(_matches(rule, one, item) for rule in matrix.include)
    return included and not any(_matches(rule, one, item) for rule in matrix.exclude)


def _matches(rule: MatrixRule, one: _Combination, item: Product) -> bool:
    pairs = (
        (rule.skus, item.sku),
        (rule.categories, item.category),
        (rule.scenes, one.scene.name),
        (rule.colours, one.colour.name),
        (rule.backgrounds, one.background.name),
        (rule.techniques, one.technique),
    )
    return all(not allowed or value in allowed for allowed, value in pairs)


def _spec(one: _Combination, item: Product, generation: GenerationConfig, drawing: Drawing) -> VariantSpec:
    technique: Technique = find_technique(one.technique)
    words = Words(item, drawing.token, one.scene, one.colour, one.background)
    negatives = (generation.negative_prompt, one.scene.negative_prompt)
    return VariantSpec(
        sku=item.sku,
        scene=one.scene.name,
        colour=one.colour.name,
        background=one.background.name,
        technique=one.technique,
        seed=generation.seed + one.image,
        prompt=technique.prompt(words),
        negative_prompt=", ".join(text for text in negatives if text),
        colour_hex=one.colour.hex,
        background_hex=one.background.hex,
        adapter_id=drawing.adapter_id if technique.USES_ADAPTER else "",
        base_model=drawing.base_model,
        references=drawing.references,
        steps=generation.steps,
        guidance=generation.guidance,
        scheduler=generation.scheduler,
        width=drawing.resolution,
        height=drawing.resolution,
        surface=one.scene.surface,
        renderer_version=drawing.renderer_version,
    )
