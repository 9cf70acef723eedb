"""What a person reads on the terminal when a plan is made or a run has ended; the same facts as JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from catalog_schemas.plan import Plan
from catalog_schemas.rejection import Rejection
from catalog_schemas.run import RunRecord
from flows.pipeline import RunOutcome
from tasks.runtime.wording import counted


def run_summary(outcome: RunOutcome) -> dict[str, Any]:
    """The run's table of counts and the gallery's place."""
    run, links = outcome.record, outcome.report
    lines = [
        _headline(run),
        "",
        _table(
            ("", "in", "published", "unchanged", "quarantined", "failed", *(["waiting"] if run.skus_waiting else [])),
            (
                "SKUs",
                run.skus_input,
                run.skus_published,
                run.skus_skipped,
                run.skus_quarantined,
                run.skus_failed,
                *([run.skus_waiting] if run.skus_waiting else []),
            ),
        ),
        "",
        _table(
            ("adapters trained", "images made", "rejected", "failed", "unchanged", "retired", "seconds"),
            (
                run.adapters_trained,
                run.images_published,
                run.images_rejected,
                run.images_failed,
                run.images_skipped,
                run.images_retired,
                f"{run.seconds:.1f}",
            ),
        ),
        "",
        *(f"! {warning}" for warning in outcome.warnings),
        *([f"{counted(run.skus_waiting, 'SKU')} left to the next run: --limit"] if run.skus_waiting else []),
        *_refusals(outcome.rejections, 5),
        *(
            [f"Photos to mend: those of {counted(links.reshoot_skus, 'SKU')}, listed in {links.reshoot}"]
            if links.reshoot
            else []
        ),
        f"Gallery: {links.gallery}",
    ]
    facts = asdict(run) | asdict(links)
    facts.pop("config")
    return {"text": "\n".join(lines), **facts, **_refused(outcome.rejections)}


def _headline(run: RunRecord) -> str:
    if run.adapters_trained or run.images_planned:
        return "Done."
    if run.skus_quarantined or run.skus_waiting or run.images_retired:
        retired = f"{counted(run.images_retired, 'image')} retired, " if run.images_retired else ""
        others = f"{run.skus_waiting} waiting, " if run.skus_waiting else ""
        quarantined = f"{counted(run.skus_quarantined, 'SKU')} quarantined"
        return f"Nothing made: {retired}{quarantined}, {others}{run.skus_skipped} unchanged."
    if run.skus_skipped and not run.images_skipped:
        why = "none is asked for or all were refused: see packshot plan"
        return f"Nothing made: the store holds no image of {counted(run.skus_skipped, 'SKU')}, for {why}."
    return "Nothing to do: nothing trained, nothing rendered; the store holds it all."


def plan_summary(plan: Plan) -> dict[str, Any]:
    """What a run would do, with counts by reason."""
    adapters = Counter(job.train for job in plan.jobs if job.train)
    images = Counter[str]()
    for one in (one for job in plan.jobs for one in job.variants):
        images[one.reason] += len(one.channels)
    lines = [
        f"{plan.rows} products: {len(plan.jobs)} with something to do, {plan.skipped} unchanged, "
        + (f"{plan.waiting} left to the next run, " if plan.waiting else "")
        + f"{len(plan.quarantined)} quarantined",
        f"adapters to train: {_counted(adapters)}",
        f"images to make:    {_counted(images)}",
        f"images unchanged:  {plan.images_skipped}; refused before: {plan.images_refused}",
        f"images to retire:  {len(plan.retired) or 'none'}",
        *(f"! {warning}" for warning in plan.warnings),
        *_refusals(plan.rejections, 20),
    ]
    return {
        "text": "\n".join(lines),
        "products": plan.rows,
        "with_work": len(plan.jobs),
        "unchanged": plan.skipped,
        "waiting": plan.waiting,
        "quarantined": list(plan.quarantined),
        "adapters": dict(adapters),
        "images": dict(images),
        "images_unchanged": plan.images_skipped,
        "images_refused": plan.images_refused,
        "images_retired": len(plan.retired),
        "warnings": list(plan.warnings),
        **_refused(plan.rejections),
    }


def _refusals(rejections: Sequence[Rejection], shown: int) -> Iterator[str]:
    """What was refused, counted by reason, and the first few in their own words."""
    if rejections:
        yield f"Refused: {_counted(Counter(str(one.reason) for one in rejections))}"
    yield from (f"  {one.reason}: {one.detail}" for one in rejections[:shown])
    if len(rejections) > shown:
        yield f"  and {len(rejections) - shown} more"


def _refused(rejections: Sequence[Rejection]) -> dict[str, Any]:
    """The same as JSON: all of them."""
    counts = Counter(str(one.reason) for one in rejections)
    return {"refused": dict(counts), "rejections": [asdict(one) for one in rejections]}


def _counted(reasons: Counter[str]) -> str:
    if not reasons:
        return "none"
    return f"{reasons.total()} ({', '.join(f'{count} {reason}' for reason, count in reasons.most_common())})"


def _table(head: tuple[Any, ...], row: tuple[Any, ...]) -> str:
    widths = [max(len(str(a)), len(str(b))) for a, b in zip(head, row, strict=True)]
    return "\n".join(
        "  " + "  ".join(str(cell).rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in (head, row)
    )
