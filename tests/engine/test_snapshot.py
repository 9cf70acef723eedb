"""Interrupted and resumed equals uninterrupted, to the bit."""

import pytest
import torch

from tasks.engine.base_model import load_base
from tasks.engine.evaluation import Evaluation, Score
from tasks.engine.jobs import DivergedAdapter, TrainedAdapter
from tasks.engine.snapshot import Snapshots
from tasks.engine.training import train_cohort
from tests.engine.material import SETTINGS, job, poisoned, quiet, recipe, weights_of
from tests.models.tiny import RESOLUTION


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


def interrupt_at(step: int):
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == step:
            raise Interrupted

    return progress


def interrupted_and_resumed(base, jobs, how, slots, at, every):
    """The outcomes of a run that was killed at step `at` and went on from its last snapshot, and its steps."""
    kept = []
    with pytest.raises(Interrupted):
        train_cohort(base, jobs, how, RESOLUTION, slots, interrupt_at(at), snapshots=Snapshots(every, kept.append))
    seen = []
    outcomes = train_cohort(
        base,
        jobs,
        how,
        RESOLUTION,
        slots,
        lambda done, total: seen.append((done, total)),
        snapshots=Snapshots(every, kept.append, resume=kept[-1]),
    )
    return outcomes, seen


def same(one, other) -> bool:
    if isinstance(one, DivergedAdapter):
        return one == other
    said = [
        [each.adapter_id, each.sku, each.steps, each.loss_before, each.loss_after, each.curve, each.weights.alpha]
        for each in (one, other)
    ]
    return said[0] == said[1] and torch.equal(weights_of(one), weights_of(other))


def test_interrupted_and_resumed_equals_uninterrupted(base):
    """More jobs than slots, one of them poisoned; at the kill one has finished, two train, two wait."""
    jobs, how = [job(0, 6), job(1, 3), poisoned(2, 4), job(3, 5), job(4, 2)], recipe(batch_size=2)
    whole = train_cohort(base, jobs, how, RESOLUTION, 2, quiet)
    outcomes, seen = interrupted_and_resumed(base, jobs, how, 2, at=8, every=3)
    assert [type(outcome) for outcome in whole].count(TrainedAdapter) == 4
    assert all(same(one, other) for one, other in zip(whole, outcomes, strict=True))
    assert len(seen) < 10
    assert seen[-1] == (20, 20)


def test_learned_words_survive_an_interruption(base):
    jobs = [job(number, steps, instance="a photo of zqx mug") for number, steps in ((0, 2), (1, 5))]
    how = recipe(method="pivotal", token="zqx", text_encoder=True)
    whole = train_cohort(base, jobs, how, RESOLUTION, 2, quiet)
    outcomes, _ = interrupted_and_resumed(base, jobs, how, 2, at=4, every=3)
    for one, other in zip(whole, outcomes, strict=True):
        assert same(one, other)
        assert one.weights.word == other.weights.word == "zqx"
        assert torch.equal(one.weights.tokens["te"], other.weights.tokens["te"])


def test_a_snapshot_is_bytes_that_hold_the_losses_since_the_last_look(base):
    """Between two looks at the losses a NaN may already be in them: it must not be forgotten."""
    jobs, how = [poisoned(0, 6), job(1, 6)], recipe(prior_weight=0.0)
    whole = train_cohort(base, jobs, how, RESOLUTION, 2, quiet)
    outcomes, _ = interrupted_and_resumed(base, jobs, how, 2, at=4, every=3)
    assert isinstance(outcomes[0], DivergedAdapter)
    assert all(same(one, other) for one, other in zip(whole, outcomes, strict=True))


def test_a_resumed_training_keeps_the_snapshots_slots(base):
    jobs, how = [job(0, 4), job(1, 4)], recipe(prior_weight=0.0)
    kept = []
    whole = train_cohort(base, jobs, how, RESOLUTION, 2, quiet, snapshots=Snapshots(2, kept.append))
    again = train_cohort(base, jobs, how, RESOLUTION, 1, quiet, snapshots=Snapshots(9, kept.append, kept[0]))
    assert all(same(one, other) for one, other in zip(whole, again, strict=True))


def test_what_had_finished_before_a_kill_keeps_its_curve(base):
    looks = iter([Score(0.5, 1.0), Score(0.6, 1.0)] * 4)
    evaluation = Evaluation(2, lambda job: [], SETTINGS, lambda job, images: next(looks))
    jobs, how, kept = [job(0, 4), job(1, 4)], recipe(prior_weight=0.0), []
    each = {"evaluation": evaluation}
    whole = train_cohort(base, jobs, how, RESOLUTION, 1, quiet, snapshots=Snapshots(6, kept.append), **each)
    again = train_cohort(base, jobs, how, RESOLUTION, 1, quiet, snapshots=Snapshots(9, kept.append, kept[0]), **each)
    assert len(whole[0].curve) == 2
    assert same(whole[0], again[0])


@pytest.mark.parametrize("change", [{"number": 1}, {"steps": 3}, {"seed": 7}, {"weight": 0.5}, {"resolution": 32}])
def test_a_snapshot_of_other_jobs_another_recipe_or_resolution_is_refused(base, change):
    def begin(kept, left=None, number=0, steps=2, seed=1, weight=0.0, resolution=RESOLUTION):
        jobs, how = [job(number, steps, seed=seed)], recipe(prior_weight=weight)
        train_cohort(base, jobs, how, resolution, 1, quiet, snapshots=Snapshots(1, kept.append, left))

    begin(kept := [])
    with pytest.raises(ValueError, match="other jobs"):
        begin([], kept[0], **change)
