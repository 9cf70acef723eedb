"""torch.compile sees one graph, whatever jobs come and go."""

import torch
from torch._dynamo.testing import CompileCounter

from tasks.engine.base_model import load_base
from tasks.engine.cohort import Cohort
from tests.engine.material import job, poisoned, recipe, train, weights_of
from tests.models.tiny import RESOLUTION, build_tiny_sd


def test_one_graph_serves_every_cohort_and_every_change_of_tenants(tmp_path):
    base = load_base(build_tiny_sd(tmp_path), "float32", "cpu")
    how, counter = recipe(prior_weight=0.0), CompileCounter()
    unet = torch.compile(base.unet, backend=counter, dynamic=False, fullgraph=True)
    first, second = {}, {}
    jobs = [job(0, 2), poisoned(1, 3), job(2, 4), job(3, 1), job(4, 1)]
    Cohort(base, jobs, how, RESOLUTION, 2, first, unet).run()
    assert counter.frame_count == 1
    Cohort(base, [job(5, 3), job(6, 2)], how, RESOLUTION, 2, second, unet).run()
    assert counter.frame_count == 1
    assert torch.equal(weights_of(second["id-5"]), weights_of(train(base, [job(5, 3), job(6, 3)], how)[0]))
