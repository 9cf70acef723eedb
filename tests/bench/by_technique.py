"""Pictures as a run makes them, by each technique that draws with the adapter: the table `techniques`."""

from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np

from catalog_schemas.product import Product as Record
from catalog_schemas.variant import VariantSpec
from configs.library import load_library
from configs.schema import VariantMatrix
from tasks.engine.base_model import load_controlnet
from tasks.engine.guides import Guide
from tasks.engine.rendering import RenderRequest, render
from tasks.imaging.compose import AS_TRAINED, on_flat
from tasks.imaging.cut_out import cut_out
from tasks.imaging.pixels import scale_rgb
from tasks.planning.matrix import Drawing, expand
from tasks.runtime.pictures import cut_free
from tasks.techniques import WHITE, CutOut, Material, Pixels, find_guided, find_technique
from tests.bench.fidelity import Bench, Drawn, means
from tests.bench.likeness import Product, likeness
from tests.bench.tables import as_text, say
from tests.measures import mask_overlap

TECHNIQUES = ("regenerate", "restyle", "sketch")
SCENES = ("wooden-table", "garden-grass")  # of the library: the places of `fidelity.SCENES`


def technique_row(bench: Bench, technique: str) -> tuple[dict[str, Any], list[Drawn]]:
    """One line of the table, and its pictures: of each SKU some on flat white, and one in each scene.

    `overlap` of a product on white with a photograph's that is placed as a guide's is, by intersection over union:
    whether the outline is the photograph's.
    """
    files = bench.loras.files  # trained before the clock runs
    started, drawn, overlaps = bench.clock(), list[Drawn](), list[float]()
    for product in bench.products:
        white = _specs(bench, product, technique, "white", bench.options.images)
        specs = [*white, *_specs(bench, product, technique, "scene", 1)]
        materials = _materials(bench, product, specs)
        requests = [
            RenderRequest(spec.prompt, "", spec.seed, product.sku, _as_engine_wants(bench, spec, one.guide))
            for spec, one in zip(specs, materials, strict=True)
        ]
        pictures = [
            find_technique(technique).make(spec, replace(one, drawn=picture)).rgb
            for spec, one, picture in zip(specs, materials, bench.render(requests, files), strict=True)
        ]
        drawn.append(Drawn(pictures[: len(white)], pictures[len(white) :]))
        size = (bench.settings.height, bench.settings.width)
        overlaps += [
            mask_overlap(
                cut_out(scale_rgb(picture, *reversed(size))),
                on_flat(photo.rgb, photo.mask, WHITE, size, AS_TRAINED.share)[1],
            )
            for picture, photo in zip(drawn[-1].plain, cycle(product.photos), strict=False)
        ]
    seconds = (bench.clock() - started) / sum(len(one.plain) + len(one.scenes) for one in drawn)
    scores = likeness(bench.scorer, bench.products, [one.plain for one in drawn])
    line = {"name": technique, **means(scores), "overlap": float(np.mean(overlaps))}
    line |= {**bench.agreement(drawn), "seconds": seconds}
    say("  ".join(f"{key} {as_text(value)}" for key, value in line.items()))
    return line, drawn


def _specs(bench: Bench, product: Product, technique: str, background: str, images: int) -> list[VariantSpec]:
    matrix = VariantMatrix(
        techniques=(technique,), scenes=SCENES, backgrounds=(background,), images=images, limit_per_sku=1000
    )
    colour = bench.name(product).removesuffix(product.noun).strip()
    drawing = Drawing(bench.recipe.token, product.sku, "", (), bench.settings.width, 0, colour)
    found = expand(Record(product.sku, "", product.noun, ()), matrix, bench.generation, load_library(), drawing)
    return found if background == "white" else sorted(found, key=lambda spec: SCENES.index(spec.scene))


def _materials(bench: Bench, product: Product, specs: list[VariantSpec]) -> list[Material]:
    """What each of them is made of but for what is drawn for it, with one photograph after the other."""
    found = list[Material]()
    for spec, photo in zip(specs, cycle(product.photos), strict=False):
        technique, scene = find_guided(spec.technique), None
        if spec.scene_prompt:
            [scene] = render(bench.base, [RenderRequest(spec.scene_prompt, "", spec.seed)], bench.settings, {}, 1)
        shown = cut_free(CutOut(photo.rgb, photo.mask))
        material = Material(scene, lambda _, shown=shown: shown, scene=scene)
        found.append(replace(material, guide=technique.guide(spec, material) if technique else None))
    return found


def _as_engine_wants(bench: Bench, spec: VariantSpec, guide: Pixels | None) -> Guide | None:
    technique = find_guided(spec.technique)
    if technique is None or guide is None:
        return None
    follows = technique.GUIDE == "edges"
    control = load_controlnet(bench.options.model / "controlnet", bench.base) if follows else None
    return Guide(guide.rgb, spec.strength or 0.0, control)
