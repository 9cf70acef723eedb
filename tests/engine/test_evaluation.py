"""Training knows when it is done: the best checkpoint is kept, and a SKU that gains no more ends."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tasks.engine.base_model import load_base
from tasks.engine.evaluation import NOISE, Evaluation, Score, Watch, best_of, is_done
from tasks.engine.jobs import CurvePoint
from tasks.engine.lora_file import write_lora
from tasks.engine.rendering import RenderRequest, render
from tasks.engine.snapshot import Snapshots
from tasks.engine.training import train_cohort
from tests.engine.material import HEADER, SETTINGS, job, poisoned, quiet, recipe, train, weights_of
from tests.models.tiny import RESOLUTION

PROMPTS = [RenderRequest("a photo of sks mug", "", 1), RenderRequest("a sks mug on a beach", "", 2)]


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


def judged(scores, every=2, seen=None, **options):
    """An evaluation whose verdicts are given: per SKU one (likeness, agreement) for each look."""
    looks = {sku: iter(values) for sku, values in scores.items()}

    def score(job, images):
        if seen is not None:
            seen.setdefault(job.sku, []).append(images)
        return Score(*next(looks[job.sku]))

    settings = dataclasses.replace(SETTINGS, steps=2, scheduler="euler")
    return Evaluation(every, lambda job: PROMPTS, settings, score, batch_size=3, **options)


def points(*pairs):
    return [CurvePoint(step, *pair) for step, pair in enumerate(pairs)]


RULES = judged({}, patience=2, gain=0.01, forfeit=0.1)


def test_the_best_is_the_most_alike_that_still_follows_its_prompts():
    assert best_of(points((0.5, 0.30), (0.7, 0.28), (0.9, 0.20)), RULES).step == 1
    assert best_of(points((0.5, 0.30), (0.9, 0.30), (0.7, 0.30)), RULES).step == 1


def test_of_looks_that_differ_by_chance_the_one_that_has_learned_longest_is_the_best():
    assert best_of(points((0.5, 0.30), (0.5, 0.30)), RULES).step == 1
    assert best_of(points((0.5, 0.30), (0.9, 0.30), (0.87, 0.30)), RULES).step == 2
    assert best_of(points((0.5, 0.30), (0.9, 0.30), (0.87, 0.20)), RULES).step == 1


def test_training_is_done_without_gain_or_without_agreement():
    assert not is_done(points((0.5, 0.3), (0.505, 0.3)), RULES)
    assert is_done(points((0.5, 0.3), (0.505, 0.3), (0.4, 0.3)), RULES)
    assert not is_done(points((0.5, 0.3), (0.4, 0.3), (0.6, 0.3)), RULES)
    assert is_done(points((0.5, 0.3), (0.9, 0.2)), RULES)


def test_an_agreement_below_zero_is_kept_by_one_as_low():
    assert not is_done(points((0.5, -0.3), (0.6, -0.3)), RULES)
    assert best_of(points((0.5, -0.3), (0.6, -0.32)), RULES).step == 1
    assert is_done(points((0.5, -0.3), (0.6, -0.34)), RULES)


def test_a_first_look_that_is_not_finite_is_the_worst_there_is():
    watch, row = Watch(), torch.zeros(1)
    assert not watch.add(1, Score(float("nan"), float("inf")), row, RULES)
    assert watch.points == [CurvePoint(1, -1.0, -1.0)]
    assert not watch.add(2, Score(0.2, 0.3), row + 1, RULES)
    assert watch.row == 1


SCORES = st.floats(-1, 1)


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=12))
def test_the_choice_is_never_worse_than_the_first_look_and_never_a_disobedient_one(pairs):
    curve = points(*pairs)
    best = best_of(curve, RULES)
    assert best.likeness >= curve[0].likeness - NOISE
    assert best is curve[0] or best.agreement >= curve[0].agreement - 0.1 * abs(curve[0].agreement)


def test_the_best_checkpoint_is_the_outcome_bit_for_bit(base):
    """The second look of three is the best: what is kept equals a training of that many steps."""
    evaluation = judged({"SKU-0": [(0.1, 1), (0.9, 1), (0.5, 1)]})
    outcome = train_cohort(base, [job(0, 6)], recipe(), RESOLUTION, 1, quiet, evaluation=evaluation)[0]
    shorter = train(base, [job(0, 4)], recipe())[0]
    assert (outcome.steps, [point.step for point in outcome.curve]) == (4, [2, 4, 6])
    assert torch.equal(weights_of(outcome), weights_of(shorter))
    assert outcome.loss_after == shorter.loss_after


def test_a_sku_that_gains_no_more_ends_and_makes_room(base):
    scores = {"SKU-0": [(0.5, 1)] * 3, "SKU-1": [(0.1 * n, 1) for n in range(5)]}
    seen = []
    outcomes = train_cohort(
        base,
        [job(0, 10), job(1, 4)],
        recipe(prior_weight=0),
        RESOLUTION,
        1,
        lambda *state: seen.append(state),
        evaluation=judged(scores),
    )
    assert [outcome.steps for outcome in outcomes] == [6, 4]
    assert [point.step for point in outcomes[0].curve] == [2, 4, 6]
    assert len(seen) == 6 + 4
    assert seen[-1] == (14, 14)


@pytest.mark.parametrize("method", [{}, {"method": "pivotal", "text_encoder": True}])
def test_looks_show_each_sku_its_own_images_and_change_nothing(base, method):
    """Four images of two SKUs, three at a time; the images are those of the finished files."""
    seen, scores = {}, {f"SKU-{n}": [(0.1, 1), (0.2, 1)] for n in (0, 2)}
    jobs = [job(0, 4), poisoned(1, 4), job(2, 4)]
    jobs = [dataclasses.replace(one, instance="a photo of sks mug") for one in jobs]
    evaluation = judged(scores, seen=seen)
    how = recipe(learning_rate=2e-2, **method)
    outcomes = train_cohort(base, jobs, how, RESOLUTION, 3, quiet, evaluation=evaluation)
    for number, plain in enumerate(train(base, jobs, how)):
        if number != 1:
            assert torch.equal(weights_of(outcomes[number]), weights_of(plain))
            files = {"own": write_lora(outcomes[number].weights, HEADER)}
            requests = [dataclasses.replace(request, adapter="own") for request in PROMPTS]
            drawn = render(base, requests, evaluation.settings, files, 2)
            for image, expected in zip(seen[f"SKU-{number}"][-1], drawn, strict=True):
                assert np.abs(image.astype(int) - expected).max() <= 1


def test_a_resumed_training_remembers_its_best(base):
    kept, scores = [], [(0.9, 1), (0.5, 1), (0.6, 1)]
    how, jobs = recipe(prior_weight=0), [job(0, 6)]
    whole = train_cohort(
        base, jobs, how, RESOLUTION, 1, quiet, snapshots=Snapshots(5, kept.append), evaluation=judged({"SKU-0": scores})
    )[0]
    rest = judged({"SKU-0": scores[2:]})
    again = train_cohort(
        base, jobs, how, RESOLUTION, 1, quiet, snapshots=Snapshots(9, kept.append, kept[0]), evaluation=rest
    )[0]
    assert whole.steps == again.steps == 2
    assert whole.curve == again.curve
    assert torch.equal(weights_of(whole), weights_of(again))


def test_a_score_that_is_not_finite_never_wins(base):
    evaluation = judged({"SKU-0": [(0.2, 1), (float("nan"), 1)]})
    outcome = train_cohort(base, [job(0, 4)], recipe(prior_weight=0), RESOLUTION, 1, quiet, evaluation=evaluation)[0]
    assert outcome.steps == 2
