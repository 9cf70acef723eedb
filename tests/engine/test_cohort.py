"""A cohort's SKUs do not touch each other, whatever happens to one of them."""

from contextlib import nullcontext

import pytest
import torch

from tasks.engine.bank import AdapterBank
from tasks.engine.base_model import load_base
from tasks.engine.cohort import Cohort
from tasks.engine.conditioning import encode_prompt, predict
from tasks.engine.jobs import DivergedAdapter, TrainedAdapter, rate_at, steps_for
from tasks.engine.objective import Objective
from tasks.engine.training import recomputing, train_cohort
from tests.engine.material import job, photo, poisoned, recipe, train, weights_of
from tests.models.tiny import RESOLUTION


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


def test_a_poisoned_sku_leaves_its_cohort_untouched_and_is_named(base):
    others = [job(0, 3), job(2, 6), job(3, 5)]
    healthy = train(base, [others[0], job(1, 4), *others[1:]], recipe())
    sick = train(base, [others[0], poisoned(1, 4), *others[1:]], recipe())
    assert isinstance(sick[1], DivergedAdapter)
    assert "SKU-1" in sick[1].detail
    assert "nan" in sick[1].detail
    for number in (0, 2, 3):
        assert torch.equal(weights_of(healthy[number]), weights_of(sick[number]))


def test_a_sku_poisoned_long_before_its_end_leaves_its_cohort_untouched(base):
    healthy = train(base, [job(0, 30), job(1, 28)], recipe(prior_weight=0))
    sick = train(base, [job(0, 30), poisoned(1, 28)], recipe(prior_weight=0))
    assert isinstance(sick[1], DivergedAdapter)
    assert "step 25 of 28" in sick[1].detail
    assert torch.equal(weights_of(healthy[0]), weights_of(sick[0]))


def test_a_learning_rate_that_blows_up_gives_diverged_adapters_instead_of_noise(base):
    outcomes = train(base, [job(0, 8), job(1, 8)], recipe(learning_rate=0.1, alpha=1e6))
    assert [type(outcome) for outcome in outcomes] == [DivergedAdapter] * 2
    assert "learning_rate" in outcomes[0].detail


@pytest.mark.parametrize(
    ("after", "outcome"), [(3.9, TrainedAdapter), (4.1, DivergedAdapter), (float("nan"), DivergedAdapter)]
)
def test_a_sku_whose_loss_ran_away_gives_no_adapter_though_it_is_finite(base, monkeypatch, after, outcome):
    losses = iter([1.0, after])
    monkeypatch.setattr(Objective, "probe", lambda objective, tenant: next(losses))
    [found] = train(base, [job(0, 1)], recipe())
    assert type(found) is outcome


def test_a_heavy_prior_is_not_taken_for_a_runaway_loss(base):
    """The prior's share of the loss says nothing of the SKU; neither does a single step of an unlucky timestep."""
    how = recipe(prior_images=1, prior_weight=9.0, snr_gamma=0.0)
    outcome = train(base, [job(0, 26, class_images=(photo(50).rgb[:64, :64],))], how)[0]
    assert isinstance(outcome, TrainedAdapter), outcome


def test_a_slots_second_tenant_equals_the_same_sku_in_a_fresh_bank(base):
    both = train(base, [job(0, 5), job(1, 4)], recipe(), slots=1)
    alone = train(base, [job(1, 4)], recipe(), slots=1)
    assert torch.equal(weights_of(both[1]), weights_of(alone[0]))


def test_a_slot_freed_by_a_poisoned_sku_serves_the_next(base):
    both = train(base, [poisoned(0, 5), job(1, 4)], recipe(), slots=1)
    alone = train(base, [job(1, 4)], recipe(), slots=1)
    assert isinstance(both[0], DivergedAdapter)
    assert torch.equal(weights_of(both[1]), weights_of(alone[0]))


def test_more_jobs_than_slots_all_get_their_outcome_in_the_jobs_order(base):
    jobs = [job(number, steps) for number, steps in enumerate((2, 5, 1, 4, 3))]
    crowded = train(base, jobs, recipe(), slots=2)
    assert [outcome.sku for outcome in crowded] == [job.sku for job in jobs]
    for one, outcome in zip(jobs, crowded, strict=True):
        alone = train(base, [one], recipe())[0]
        assert outcome.steps == one.steps
        assert (weights_of(outcome) - weights_of(alone)).norm() < 1e-4 * weights_of(alone).norm()


def test_a_skus_photos_are_read_when_it_enters_its_slot(base):
    """So that nobody holds those of all SKUs at once."""
    seen = []

    class Read:
        def __init__(self, number):
            self.number = number

        def __iter__(self):
            seen.append(f"photos {self.number}")
            yield photo(self.number)

    jobs = [job(number, 2, photos=Read(number)) for number in range(2)]
    train_cohort(base, jobs, recipe(), RESOLUTION, 1, lambda done, total: seen.append("step"))
    assert seen == ["photos 0", "step", "step", "photos 1", "step", "step"]


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("injected"), RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")]
)
def test_out_of_memory_halves_the_slots_and_loses_no_sku(base, error):
    sizes, seen = [], []

    def memory_for_two(done: int, total: int) -> None:
        seen.append((done, total))
        rows = base.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q").a.shape[0]
        sizes.append(rows)
        if rows > 2:
            raise error

    jobs = [job(number, 3) for number in range(5)]
    outcomes = train_cohort(base, jobs, recipe(), RESOLUTION, 5, memory_for_two)
    assert [outcome.sku for outcome in outcomes] == [job.sku for job in jobs]
    assert all(isinstance(outcome, TrainedAdapter) for outcome in outcomes)
    assert sizes[0] == 5
    assert set(sizes[1:]) == {2}
    assert seen[-1] == (15, 15)


def test_a_single_sku_that_does_not_fit_is_trained_lean_to_the_same_bits(base):
    seen = []

    def memory_for_lean(done: int, total: int) -> None:
        seen.append(base.unet.is_gradient_checkpointing)
        if not seen[-1]:
            raise torch.OutOfMemoryError("injected")

    outcomes = train_cohort(base, [job(0), job(1)], recipe(), RESOLUTION, 2, memory_for_lean)
    assert seen == [False] * 2 + [True] * 8
    assert not base.unet.is_gradient_checkpointing
    for number, outcome in enumerate(outcomes):
        assert torch.equal(weights_of(outcome), weights_of(train(base, [job(number)], recipe())[0]))


def test_a_lean_cohort_learns_with_some_slots_gone_what_a_lavish_one_learns(base):
    """Recomputed activations must see the same slots: the backward pass runs where the forward pass ran."""
    jobs, lavish, lean = [job(0, 2), job(1, 5), job(2, 4)], {}, {}
    for outcomes, thrift in ((lavish, False), (lean, True)):
        with recomputing(base) if thrift else nullcontext():
            Cohort(base, jobs, recipe(), RESOLUTION, 3, outcomes).run()
    for key in lavish:
        assert torch.equal(weights_of(lavish[key]), weights_of(lean[key]))


def test_out_of_memory_with_one_slot_left_is_raised_and_the_model_is_whole_again(base):
    def no_memory(done: int, total: int) -> None:
        raise torch.OutOfMemoryError("injected")

    before = list(base.unet.state_dict())
    with pytest.raises(torch.OutOfMemoryError, match="one SKU"):
        train_cohort(base, [job(0), job(1)], recipe(), RESOLUTION, 2, no_memory)
    assert list(base.unet.state_dict()) == before


def test_other_errors_are_not_taken_for_a_lack_of_memory(base):
    def broken(done: int, total: int) -> None:
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        train_cohort(base, [job(0), job(1)], recipe(), RESOLUTION, 2, broken)


@pytest.mark.parametrize(("precision", "likeness"), [("bfloat16", 0.99), ("float16", 0.999)])
def test_half_precision_learns_nearly_what_single_precision_learns(folders, precision, likeness):
    learned = [
        weights_of(train(load_base(folders["sd"], name, "cpu"), [job(0, 6)], recipe(batch_size=2))[0])
        for name in ("float32", precision)
    ]
    start = weights_of(train(load_base(folders["sd"], "float32", "cpu"), [job(0, 1)], recipe(learning_rate=1e-12))[0])
    assert torch.cosine_similarity(learned[0] - start, learned[1] - start, 0) > likeness
    assert learned[1].dtype == torch.float32


def test_half_precisions_gradients_are_as_large_as_single_precisions_where_they_are_clipped(folders):
    norms = list[float]()
    for precision in ("float32", "float16"):
        model, how = load_base(folders["sd"], precision, "cpu"), recipe(gradient_clip=1e6)
        Cohort(
            model, [job(0, 1)], how, RESOLUTION, 1, {},
            after_step=lambda cohort: norms.append(float(cohort.bank.gradients.norm())),
        ).run()  # fmt: skip
    assert norms[1] == pytest.approx(norms[0], rel=0.05)


def test_skus_finished_before_memory_ran_out_are_not_trained_again(base):
    steps = []

    def fails_once(done: int, total: int) -> None:
        steps.append(done)
        if len(steps) == 5:
            raise torch.OutOfMemoryError("injected")

    jobs = [job(0, 2), job(1, 4), job(2, 4)]
    outcomes = train_cohort(base, jobs, recipe(), RESOLUTION, 2, fails_once)
    assert [outcome.sku for outcome in outcomes] == ["SKU-0", "SKU-1", "SKU-2"]
    assert len(steps) == 4 + 1 + 2
    assert steps[-1] == 10, "those of the finished ones count"


def test_training_lowers_each_skus_loss(base):
    outcomes = train(base, [job(0, 40), job(1, 40)], recipe(learning_rate=3e-3, prior_weight=0.0, batch_size=2))
    for outcome in outcomes:
        assert outcome.loss_after < 0.9 * outcome.loss_before


def test_the_prior_keeps_the_class_prompt_closer_to_the_base_model(base):
    drifts = [drift(base, recipe(learning_rate=5e-3, prior_weight=weight)) for weight in (0.0, 5.0)]
    assert drifts[1] < 0.8 * drifts[0]


def drift(base, how):
    """How far the class prompt's prediction moves from the base model's, on one input."""
    trained = train(base, [job(0, 15)], how)[0]
    noisy = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    text = encode_prompt(base, "a photo of a mug").repeat_each(4)
    times = torch.tensor([100, 300, 500, 700])
    with torch.no_grad(), AdapterBank(base.unet, 1, 4) as bank:
        plain = predict(base, noisy, times, text)
        bank.load(0, trained.weights)
        return float((predict(base, noisy, times, text) - plain).norm())


def test_the_learning_rate_warms_up_and_falls_to_zero_over_each_skus_own_steps(base):
    how = recipe(learning_rate=1e-2, warmup_steps=2, decay="linear")
    assert [rate_at(how, step, 4) for step in (1, 2, 3, 4)] == pytest.approx([5e-3, 7.5e-3, 5e-3, 2.5e-3])
    assert rate_at(recipe(learning_rate=1e-2), 4, 4) == 1e-2
    together = train(base, [job(0, 6), job(1, 3)], how)
    alone = train(base, [job(1, 3)], how)
    assert (weights_of(together[1]) - weights_of(alone[0])).norm() < 1e-4 * weights_of(alone[0]).norm()


def test_steps_follow_the_photos_within_the_recipes_bounds():
    how = recipe(steps_per_photo=100, steps_minimum=250, steps_maximum=450)
    assert [steps_for(photos, how) for photos in (1, 2, 3, 4, 5)] == [250, 250, 300, 400, 450]
