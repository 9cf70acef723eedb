"""The curves that the studio's products are drawn with."""

import numpy as np

from infra.demo.shapes import smooth, vessel


def test_a_curve_goes_through_its_points():
    points = [(0.0, 0.0), (0.4, 0.1), (0.45, 0.5), (0.2, 0.9)]
    curve = smooth(points, samples=3 * 10 + 1)
    assert np.allclose(curve[::10], points)


def test_a_curve_makes_no_loop_where_two_of_its_points_are_close():
    lip = smooth([(0.35, 0.0), (0.36, 0.04), (0.37, 0.4), (0.352, 0.74), (0.354, 0.77)])  # a mug's outside
    assert np.all(np.diff(lip[:, 1]) > 0)


def test_a_vessels_wall_lies_within_its_outside():
    outer = smooth([(0.35, 0.0), (0.36, 0.04), (0.37, 0.4), (0.352, 0.74), (0.354, 0.77)])
    assert vessel(outer, 0.045, 0.06)[:, 0].max() <= outer[:, 0].max() + 1e-9


def test_points_that_are_the_same_still_give_a_curve():
    assert np.isfinite(smooth([(0.0, 0.0), (0.5, 0.5), (0.5, 0.5), (1.0, 0.0)])).all()
