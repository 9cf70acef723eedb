"""The number of SKUs at once follows the device's free memory, and no SKU is lost where that was too many."""

import pytest
import torch

from tasks.engine import memory
from tasks.engine.base_model import load_base
from tasks.engine.cohort import Cohort
from tasks.engine.jobs import TrainedAdapter
from tasks.engine.memory import SHARE, cuda_peak, fitting_slots, free_bytes, new_probe, step_bytes
from tasks.engine.training import train_cohort
from tests.engine.material import job, quiet, recipe, train, weights_of
from tests.models.tiny import RESOLUTION

JOBS = [job(number, 3) for number in range(6)]


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


def test_what_a_step_holds_grows_by_the_same_bytes_for_each_sku(base):
    sizes = [step_bytes(base, JOBS[:count], recipe(), RESOLUTION) for count in (1, 2, 4)]
    each = sizes[1] - sizes[0]
    assert each > 100_000
    assert sizes[2] == pytest.approx(sizes[1] + 2 * each, rel=0.02)
    larger = [step_bytes(base, JOBS[:count], recipe(batch_size=2), RESOLUTION) for count in (1, 2)]
    assert larger[1] - larger[0] > 1.5 * each


@pytest.mark.parametrize(("room", "expected"), [(0.1, 1), (1.5, 1), (3.5, 3), (4.5, 4), (100.0, 6)])
def test_as_many_skus_at_once_as_the_free_memory_holds(base, room, expected):
    one, two = (step_bytes(base, JOBS[:count], recipe(), RESOLUTION) for count in (1, 2))
    free = int((one - (two - one) + room * (two - one)) / SHARE)
    assert fitting_slots(base, JOBS, recipe(), RESOLUTION, lambda device: free) == expected


def test_one_sku_needs_no_measurement(base):
    assert fitting_slots(base, JOBS[:1], recipe(), RESOLUTION, lambda device: pytest.fail("asked")) == 1


def test_the_model_itself_is_not_counted_as_memory_that_a_step_takes(base):
    """Nor are the adapters' weights a second time: a cohort would be thought to need a model more than it does."""
    probe = new_probe(base, JOBS[:1], recipe(), RESOLUTION, 1)
    counted = step_bytes(base, JOBS[:1], recipe(), RESOLUTION)
    with memory._kept_for_backward() as kept:
        probe.run()
    own = {tensor.untyped_storage().data_ptr() for tensor in (probe.bank.weights, *base.parameters().values())}
    assert own & kept.keys()
    rows = 4 * probe.bank.weights.nbytes
    assert counted - rows == pytest.approx(sum(size for at, size in kept.items() if at not in own), rel=0.02)


def test_the_machine_says_how_much_is_free(monkeypatch, tmp_path):
    """In a container the files that were read, such as a model's, count as used, but make room for whoever asks."""
    assert free_bytes(torch.device("cpu")) > 0
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    for name, text in (("max", "9000\n"), ("current", "8000\n"), ("stat", "anon 2000\ninactive_file 5000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert free_bytes(torch.device("cpu")) == 6000
    (tmp_path / "memory.stat").unlink()
    assert free_bytes(torch.device("cpu")) == 1000


def test_without_a_number_of_slots_the_device_decides_and_the_adapters_are_the_same(base):
    chosen = train_cohort(base, JOBS[:3], recipe(), RESOLUTION, None, quiet)
    for one, other in zip(chosen, train(base, JOBS[:3], recipe(), slots=3), strict=True):
        assert torch.equal(weights_of(one), weights_of(other))


def test_a_number_that_was_too_high_after_all_is_halved_and_no_sku_is_lost(base):
    """Memory that something else took between the measurement and the training; each SKU is the one it is alone."""
    sizes = []

    def memory_for_two(done: int, total: int) -> None:
        sizes.append(base.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1.to_q").a.shape[0])
        if sizes[-1] > 2:
            raise torch.OutOfMemoryError("injected")

    outcomes = train_cohort(base, JOBS, recipe(), RESOLUTION, None, memory_for_two)
    assert [outcome.sku for outcome in outcomes] == [one.sku for one in JOBS]
    assert all(isinstance(outcome, TrainedAdapter) for outcome in outcomes)
    assert list(dict.fromkeys(sizes)) == [6, 3, 1]
    alone = train(base, JOBS[5:], recipe())[0]
    assert (weights_of(outcomes[5]) - weights_of(alone)).norm() < 1e-4 * weights_of(alone).norm()


def test_on_cuda_what_admitting_a_sku_takes_does_not_hide_what_its_steps_take(base, monkeypatch):
    """Measured on an H200: encoding the photos of one SKU and of two took more than their steps, so that the difference
    said 0.8 GB for each SKU where its steps took 1.8, and a cohort of 32 was thought to need half of its memory."""
    admitting, each, held = 5_000, 1_800, {"now": 0, "peak": 0}

    def enter(self, waiting, slot):
        held["peak"] = max(held["peak"], admitting)
        return real_enter(self, waiting, slot)

    def step(self):
        real_step(self)
        held["peak"] = max(held["peak"], each * len(self.tenants))

    real_enter, real_step = Cohort.enter, Cohort._step
    monkeypatch.setattr(Cohort, "enter", enter)
    monkeypatch.setattr(Cohort, "_step", step)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: held["peak"])
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: held.update(peak=held["now"]))
    probes = [new_probe(base, JOBS[:count], recipe(), RESOLUTION, 2) for count in (1, 2)]
    assert [cuda_peak(probe) for probe in probes] == [each, 2 * each]
