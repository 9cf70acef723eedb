import pytest
import torch

from tests.bench.traffic import Traffic, main

MATRIX = 2 * 64 * 32 * 16


def test_a_kernel_takes_the_longer_of_its_arithmetic_and_its_traffic():
    a, b = (
        torch.empty(64, 32, dtype=torch.bfloat16, device="meta"),
        torch.empty(32, 16, dtype=torch.bfloat16, device="meta"),
    )
    moved = 2 * (64 * 32 + 32 * 16 + 64 * 16)
    for peak, rate, seconds in ((1e6, 1e12, MATRIX / 1e6), (1e12, 1e6, moved / 1e6)):
        with Traffic(peak, rate) as counted:
            torch.mm(a, b.t().t()).view(-1)
        assert (counted.calls.total(), counted.flops["mm"], counted.bytes["mm"]) == (1, MATRIX, moved)
        assert counted.seconds["mm"] == pytest.approx(seconds)


def test_a_product_that_is_added_in_place_counts_like_one_that_is_not():
    y, a, b = (torch.empty(2, *shape, device="meta") for shape in ((8, 5), (8, 3), (3, 5)))
    counted = {}
    for add in (torch.baddbmm, torch.Tensor.baddbmm_):
        with Traffic(1, 1) as of:
            add(y, a, b)
        counted[add] = of.flops.total()
    assert set(counted.values()) == {2 * 2 * 8 * 3 * 5}


def test_a_step_of_the_real_architecture_is_counted(capsys):
    main(["--architecture", "sd15", "--cohorts", "1,2", "--rank", "4"])
    said = capsys.readouterr().out.splitlines()
    one, two = ([float(cell.replace(",", "")) for cell in line.split("|")[1:-1]] for line in said[2:4])
    assert one[0] == 1
    assert two[1] == one[1], "a step of two SKUs has the kernels of one"
    assert 3.4 < one[2] < 3.6  # two rows, 1.72 TFLOP each beside the adapters
    assert two[2] == pytest.approx(2 * one[2], rel=0.02)
    assert 0.5 < one[6] < 1
