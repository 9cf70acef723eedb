"""The quality gate: measures every draft of a chunk, and refuses those outside the configured bounds."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from catalog_schemas.draft import Draft
from catalog_schemas.errors import Rejected
from catalog_schemas.image import CheckResult
from catalog_schemas.plan import PlannedVariant
from catalog_schemas.reference import Reference, References
from catalog_schemas.rejection import Reason, Rejection
from catalog_schemas.variant import VariantSpec
from configs.schema import RunConfig
from tasks.checks import SIBLING_SIDE, ProductPhotos, Subject, find_check
from tasks.imaging.pixels import shrink_rgb
from tasks.runtime.boundary import row_boundary
from tasks.runtime.context import RunContext
from tasks.runtime.identities import gate_id
from tasks.runtime.ledger import StageResult, once
from tasks.runtime.pictures import read_draft, read_reference
from tasks.runtime.stage_options import RETRIES
from tasks.runtime.threads import each
from tasks.storage.objects import ObjectStore
from tasks.techniques import find_technique

if TYPE_CHECKING:
    from tasks.engine.similarity import Scorer

STAGE = "check_variants"
Passed = tuple[VariantSpec, Draft]


@dataclass(frozen=True)
class CheckedDraft:
    """A draft that passed, with what was measured."""

    draft: Draft
    checks: tuple[CheckResult, ...]


@task(name="check variants", **RETRIES)
def check_variants(
    context: RunContext,
    chunk: list[PlannedVariant],
    drafts: StageResult[Draft],
    references: References,
    beside: dict[str, list[Passed]] | None = None,
) -> StageResult[CheckedDraft]:
    """The drafts that pass every check of the configuration, and a verdict on each that does not.

    `beside` holds, by SKU, what has passed already where these are further attempts. Raises StoreError.
    """
    store = context.open()
    specs = {planned.spec.id: planned.spec for planned in chunk}

    def make() -> StageResult[CheckedDraft]:
        scorer = _scorer(context)
        mine: dict[str, list[tuple[VariantSpec, Draft]]] = defaultdict(list)
        for draft in drafts.records:
            spec = specs[draft.variant_id]
            mine[spec.sku].append((spec, draft))
        there = beside or {}
        judged = each(
            lambda sku: _judge_all(context, mine[sku], there.get(sku, []), references[sku], scorer, store), mine
        )
        return StageResult.of([one for of_sku in judged for one in of_sku])  # a chunk holds a SKU's variants in a row

    return once(store, STAGE, CheckedDraft, [gate_id(specs[one.variant_id], context) for one in drafts.records], make)


def _scorer(context: RunContext) -> "Scorer | None":
    if not context.model.scorer:
        return None
    from tasks.engine.similarity import load_scorer  # torch is loaded where a check may ask the model

    return load_scorer(Path(context.model.scorer))


def _judge_all(
    context: RunContext,
    mine: list[tuple[VariantSpec, Draft]],
    beside: list[Passed],
    references: tuple[Reference, ...],
    scorer: "Scorer | None",
    store: ObjectStore,
) -> list[CheckedDraft | Rejection]:
    """The verdicts on one SKU's drafts, in order; each is compared with those that passed before it."""
    photos = ProductPhotos(lambda: (read_reference(store, reference) for reference in references))
    passed = [(spec, shrink_rgb(read_draft(store, draft).rgb, SIBLING_SIDE)) for spec, draft in beside]
    verdicts: list[CheckedDraft | Rejection] = []
    for spec, draft in mine:
        siblings = [small for other, small in passed if not _stands_elsewhere(spec, other)]
        subject = Subject(spec, read_draft(store, draft), photos, siblings, context.config.training.token, scorer)
        try:
            with row_boundary(Reason.CHECK_FAILED, spec.name):
                results = _measure(subject, context.config)
                _judge(results)
        except Rejected as verdict:
            verdicts.append(_refusal(context, spec, verdict))
        else:
            verdicts.append(CheckedDraft(draft, results))
            passed.append((spec, subject.small))
    return verdicts


def _stands_elsewhere(spec: VariantSpec, other: VariantSpec) -> bool:
    """Whether it shows a photo's pixels on another plain background, which is no double however near that colour is."""
    return spec.background_hex != other.background_hex and find_technique(spec.technique).SOURCE_TYPE != "generated"


def _measure(subject: Subject, config: RunConfig) -> tuple[CheckResult, ...]:
    results = []
    for check in config.checks:
        if check.techniques and subject.spec.technique not in check.techniques:
            continue
        value = find_check(check.name).measure(subject)
        if value is not None:
            results.append(CheckResult(check.name, value, check.minimum, check.maximum))
    return tuple(results)


def _judge(results: tuple[CheckResult, ...]) -> None:
    faults = "; ".join(_fault(result) for result in results if not result.passed)
    if faults:
        raise Rejected(Reason.CHECK_FAILED, faults)


def _refusal(context: RunContext, spec: VariantSpec, verdict: Rejected) -> Rejection:
    attempt = "" if spec.place_seed is None else f", tried with seed {spec.seed}"
    detail = f"SKU {spec.sku}, {spec.name}{attempt}: {verdict.detail}"
    subject, now = gate_id(spec, context), datetime.now(UTC)
    return Rejection(spec.sku, STAGE, Reason.CHECK_FAILED, subject, detail, context.run_id, now, spec.id)


def _fault(result: CheckResult) -> str:
    bounds = [f"at least {result.minimum:g}"] if result.minimum is not None else []
    bounds += [f"at most {result.maximum:g}"] if result.maximum is not None else []
    return f"{result.name} is {result.value:.3g}, expected {' and '.join(bounds)}"
