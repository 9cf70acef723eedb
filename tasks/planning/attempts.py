"""Further attempts at an image that the checks or a person have refused: with another seed, where one changes it."""

from dataclasses import replace

from catalog_schemas.plan import PlannedVariant
from catalog_schemas.variant import VariantSpec
from tasks.techniques import find_technique

SEEDS = 1000  # from one attempt to the next, beyond those of a matrix


def in_its_place(spec: VariantSpec) -> VariantSpec | None:
    """What is tried, in the same place, where the checks have refused `spec`. None where a seed changes nothing."""
    place = spec.seed if spec.place_seed is None else spec.place_seed
    return replace(spec, seed=spec.seed + SEEDS, place_seed=place) if _is_another_by_seed(spec) else None


def in_a_new_place(spec: VariantSpec) -> VariantSpec | None:
    """What is tried where a person has rejected `spec`, which may be approved after all and so keeps its place: this
    one takes a place of its own. None where a seed changes nothing."""
    return replace(spec, seed=spec.seed + SEEDS, place_seed=None) if _is_another_by_seed(spec) else None


def next_attempt(planned: PlannedVariant) -> PlannedVariant | None:
    """What a run tries where the checks have refused a variant; None where it has been tried often enough."""
    spec = in_its_place(planned.spec) if planned.attempts > 1 else None
    return None if spec is None else replace(planned, spec=spec, attempts=planned.attempts - 1)


def _is_another_by_seed(spec: VariantSpec) -> bool:
    return bool(spec.prompt) and "seed" in find_technique(spec.technique).DIMENSIONS
