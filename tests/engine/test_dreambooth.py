"""Full DreamBooth: a UNet of the SKU's own, kept as a difference."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load as load_tensors

from configs.training import TrainingConfig
from tasks.engine.base_model import load_base
from tasks.engine.conditioning import encode_prompt, predict
from tasks.engine.jobs import DivergedAdapter
from tasks.engine.lora_file import read_lora, write_lora
from tasks.engine.objective import Objective
from tasks.engine.rendering import RenderRequest, render
from tasks.engine.training import train_cohort
from tests.engine.material import HEADER, SETTINGS, job, poisoned, recipe, strong_adapter, train
from tests.models.tiny import RESOLUTION

MUG = RenderRequest("a photo of sks0 mug", "", 4, "mug")


@pytest.fixture(scope="module")
def base(folders):
    return load_base(folders["sd"], "float32", "cpu")


@pytest.fixture(scope="module")
def whole(base):
    how = recipe(method="dreambooth", learning_rate=1e-3, prior_weight=0.0)
    return train(base, [job(0, 12)], how)[0]


def test_it_lowers_the_loss_and_leaves_the_base_model_alone(base, whole, folders):
    assert whole.loss_after < 0.95 * whole.loss_before
    fresh = load_base(folders["sd"], "float32", "cpu").unet.state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in base.unet.state_dict().items())


def test_comfyui_adds_the_differences_that_rendering_adds(base, whole):
    """ComfyUI `comfy/lora.py`: `<module>.diff` is added to the weight, `<module>.diff_b` to the bias."""
    data = write_lora(whole.weights, HEADER)
    tensors, unet, used = load_tensors(data), copy.deepcopy(base.unet), 0
    for name, parameter in unet.named_parameters():
        path, _, kind = name.rpartition(".")
        key = f"lora_unet_{path.replace('.', '_')}{'.diff' if kind == 'weight' else '.diff_b'}"
        if key in tensors:
            parameter.data += tensors[key].float()
            used += 1
    assert used == len(tensors)
    noisy, text = torch.randn(1, 4, 8, 8), encode_prompt(base, MUG.prompt)
    ours = read_lora(data).differences
    assert ours.keys() == whole.weights.differences.keys()
    patched = predict(base, noisy, torch.tensor([500]), text, unet)
    assert not torch.allclose(patched, predict(base, noisy, torch.tensor([500]), text), atol=1e-3)


def test_its_images_and_those_of_other_adapters_come_in_their_order(base, whole):
    before = copy.deepcopy(base.unet.state_dict())
    files = {"mug": write_lora(whole.weights, HEADER), "lamp": write_lora(strong_adapter(base, 1), HEADER)}
    requests = [dataclasses.replace(MUG, adapter=key) for key in ("lamp", "mug", "", "mug")]
    seen = []
    images = render(base, requests, SETTINGS, files, 2, lambda number, image: seen.append(number))
    for request, image in zip(requests, images, strict=True):
        alone = render(base, [request], SETTINGS, files, 1)[0]
        assert np.abs(image.astype(int) - alone).max() <= 1
    assert np.abs(images[1].astype(int) - images[2]).max() > 3
    assert sorted(seen) == [0, 1, 2, 3]
    assert all(torch.equal(value, before[name]) for name, value in base.unet.state_dict().items())


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_text_encoders_of_the_skus_own_read_its_prompts_and_no_others(folders, model):
    base = load_base(folders[model], "float32", "cpu")
    before = {name: parameter.clone() for name, parameter in base.parameters().items()}
    how = recipe(method="dreambooth", learning_rate=1e-3, text_encoder=True, prior_weight=0.0)
    outcome = train(base, [job(0, 4)], how)[0]
    encoders = {name.partition(".")[0] for name in outcome.weights.differences if name.startswith("te")}
    assert encoders == set(base.text_encoders)
    data = write_lora(outcome.weights, dataclasses.replace(HEADER, kind=base.kind))
    assert f"lora_{min(encoders)}_text_model_encoder_layers_0_self_attn_q_proj.diff" in load_tensors(data)
    requests = [dataclasses.replace(MUG, adapter=key) for key in ("", "mug", "")]
    plain, own, again = render(base, requests, SETTINGS, {"mug": data}, 1)
    assert np.array_equal(plain, again)
    with torch.no_grad():
        for name, difference in read_lora(data).differences.items():
            base.parameters()[name].add_(difference.float())
        patched = render(base, [dataclasses.replace(MUG, adapter="")], SETTINGS, {}, 1)[0]
        for name, parameter in base.parameters().items():
            parameter.copy_(before[name])
    assert np.array_equal(own, patched)
    assert np.abs(own.astype(int) - plain).max() > 3
    unet_only = dataclasses.replace(
        outcome.weights, differences={k: v for k, v in outcome.weights.differences.items() if not k.startswith("te")}
    )
    without = render(base, [MUG], SETTINGS, {"mug": write_lora(unet_only, HEADER)}, 1)[0]
    assert not np.array_equal(own, without)


def test_a_poisoned_sku_does_not_stop_the_next(base):
    how, seen = recipe(method="dreambooth", learning_rate=1e-3), []
    jobs = [poisoned(1, 2), job(0, 2)]
    outcomes = train_cohort(base, jobs, how, RESOLUTION, 4, lambda *state: seen.append(state))
    assert isinstance(outcomes[0], DivergedAdapter)
    assert "SKU-1" in outcomes[0].detail
    assert outcomes[1].weights.differences
    assert seen[-1] == (4, 4)


def test_the_prior_holds_the_class_to_the_base_models_answer(base):
    """With the class's own photo prompt drifting less than without the prior."""
    noisy = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    text, times = encode_prompt(base, "a photo of a mug").repeat_each(4), torch.tensor([100, 300, 500, 700])
    drifts = []
    for weight in (0.0, 5.0):
        how = recipe(method="dreambooth", learning_rate=5e-4, prior_weight=weight)
        unet = copy.deepcopy(base.unet)
        for name, change in train(base, [job(0, 10)], how)[0].weights.differences.items():
            unet.get_parameter(name).data += change.float()
        with torch.no_grad():
            drifts.append(float((predict(base, noisy, times, text, unet) - predict(base, noisy, times, text)).norm()))
    assert drifts[1] < 0.8 * drifts[0]


def test_half_precision_learns_what_single_precision_learns(base, folders, monkeypatch):
    """In a large picture each latent has little of the loss: in float16 its gradients would round to nothing."""
    losses, learned = Objective.losses, []
    monkeypatch.setattr(Objective, "losses", lambda objective, tenants: losses(objective, tenants) / 1024)
    how = recipe(method="dreambooth", learning_rate=1e-3, prior_weight=0.0, weight_decay=0.0)
    for one in (base, load_base(folders["sd"], "float16", "cpu")):
        changes = train(one, [job(0, 3)], how)[0].weights.differences
        learned.append(torch.cat([changes[name].float().flatten() for name, _ in base.unet.named_parameters()]))
    assert torch.cosine_similarity(*learned, 0) > 0.99
    assert (learned[1] == 0).float().mean() < 0.001


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "textual-inversion", "text_encoder": True},
        {"method": "dreambooth", "start_from": "class"},
        {"class_edition": 1},
        {"method": "dreambooth", "evaluation": {}},
        {"tokens": 2},
    ],
)
def test_what_a_method_has_not_is_refused(fields):
    with pytest.raises(ValidationError, match="needs"):
        TrainingConfig(**fields)
