"""What a training step asks of a device that is not the host, on torch's meta device: shapes there, and no values."""

import traceback
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tasks.engine.base_model import BaseModel, load_base
from tasks.engine.cohort import Cohort
from tasks.engine.objective import Objective
from tests.engine.material import job, recipe
from tests.models.tiny import RESOLUTION

COPIES = (torch.ops.aten._to_copy, torch.ops.aten.copy_)


class Apart(TorchDispatchMode):
    """Refuses operations on tensors of both the host and the device, and copies between them that wait for the device's
    work; to ask the device for a value, torch refuses by itself."""

    def __torch_dispatch__(
        self, operation: Any, types: Any, arguments: tuple[Any, ...] = (), named: dict[str, Any] | None = None
    ) -> Any:
        result, packet = operation(*arguments, **(named or {})), operation.overloadpacket
        used = [one for one in tree_leaves((arguments, named)) if isinstance(one, Tensor)]
        if packet in COPIES:
            waits = len({one.device for one in [*used, result]}) > 1
            names = [frame.f_code.co_name for frame, _ in traceback.walk_stack(None)]
            assert not waits or "to_device" in names, operation
        else:
            assert len({one.device for one in used if one.dim()}) < 2, operation
        return result


def _seen_to_copy(values: Any, device: Any = None, *, make: Any = torch.tensor, **options: Any) -> Tensor:
    """torch.tensor, whose own copy to the device no mode sees."""
    return make(values, **options) if device is None else make(values, **options).to(device)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("sd", {"targets": ("attention", "convolution"), "prior_images": 1}),
        ("sdxl", {"method": "pivotal", "text_encoder": True}),
    ],
)
def test_a_step_has_all_its_tensors_on_the_device_and_never_waits_for_it(folders, monkeypatch, model, changes):
    here = load_base(folders[model], "bfloat16", "cpu")
    pipeline = type(here.pipeline).from_pretrained(folders[model], dtype=torch.bfloat16).to("meta")
    base = BaseModel(here.family, pipeline, torch.device("meta"), here.dtype)
    base.unet.requires_grad_(False)
    monkeypatch.setattr(Objective, "probe", lambda self, tenant: 1.0)
    monkeypatch.setattr(torch, "tensor", _seen_to_copy)
    jobs = [job(number, class_images=[job(0).photos[0].rgb]) for number in range(2)]
    cohort = Cohort(base, jobs, recipe(**changes), RESOLUTION, 2, {})
    with cohort.bank:
        cohort._admit()
        del cohort.tenants[0]  # then the rows that are left name their slots
        with Apart():
            cohort._step()
