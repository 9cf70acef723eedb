"""Images depend on their own request and adapter alone, whoever shares their batch."""

import dataclasses

import numpy as np
import pytest
import torch

from tasks.engine import rendering
from tasks.engine.base_model import load_base
from tasks.engine.lora_file import LoraWeights, write_lora
from tasks.engine.rendering import SCHEDULERS, RenderRequest, decode_latents, render
from tests.engine.material import HEADER, SETTINGS, job, recipe, strong_adapter, train

MUG = RenderRequest("a photo of sks mug on a table", "blurry", 5, "mug")


def draw(base, requests, adapters=None, settings=SETTINGS, batch_size=8):
    return render(base, requests, settings, adapters or {}, batch_size)


def distance(a, b) -> int:
    """The largest difference of any pixel."""
    return int(np.abs(a.astype(int) - b).max())


def test_images_of_a_mixed_batch_equal_those_drawn_alone(base):
    adapters = {
        "mug": write_lora(strong_adapter(base, 1), HEADER),
        "lamp": write_lora(strong_adapter(base, 2, rank=2, alpha=1.0), HEADER),
    }
    requests = [
        MUG,
        RenderRequest("a photo of sks lamp", "", 6, "lamp"),
        RenderRequest("a photo of a mug", "blurry", 5),
        dataclasses.replace(MUG, adapter="lamp"),
        dataclasses.replace(MUG, seed=9),
    ]
    together = draw(base, requests, adapters)
    for request, image in zip(requests, together, strict=True):
        assert distance(image, draw(base, [request], adapters)[0]) <= 1
    assert distance(together[0], together[3]) > 20
    assert distance(together[0], together[4]) > 20


def test_no_guidance_draws_with_the_adapter_too(base):
    adapters = {"mug": write_lora(strong_adapter(base, 1), HEADER)}
    unguided = dataclasses.replace(SETTINGS, guidance=1.0)
    plain = dataclasses.replace(MUG, adapter="")
    both = draw(base, [MUG, plain], adapters, unguided)
    assert distance(both[0], draw(base, [MUG], adapters, unguided)[0]) <= 1
    assert distance(both[1], draw(base, [plain], {}, unguided)[0]) <= 1
    assert distance(both[0], both[1]) > 10


def test_an_empty_slot_draws_exactly_the_base_models_image(sd):
    zero = strong_adapter(sd, 1)
    zero = LoraWeights({n: (down, torch.zeros_like(up)) for n, (down, up) in zero.modules.items()}, 4, 8.0)
    request = dataclasses.replace(MUG, adapter="")
    assert np.array_equal(
        draw(sd, [MUG], {"mug": write_lora(zero, HEADER)})[0],
        draw(sd, [request])[0],
    )


def test_the_image_is_the_pipelines_own(base):
    request = RenderRequest("a photo of a mug", "", 3)
    theirs = base.pipeline(
        request.prompt,
        generator=torch.Generator().manual_seed(3),
        num_inference_steps=SETTINGS.steps,
        guidance_scale=SETTINGS.guidance,
        output_type="np",
    ).images[0]
    assert np.abs(draw(base, [request])[0] - theirs * 255).max() <= 1.0


def test_training_changes_the_image_and_leaves_the_model_as_it_was(sd):
    before = draw(sd, [dataclasses.replace(MUG, adapter="")])[0]
    outcome = train(sd, [job(0, 12)], recipe(learning_rate=2e-2))[0]
    after = draw(sd, [dataclasses.replace(MUG, adapter=""), MUG], {"mug": write_lora(outcome.weights, HEADER)})
    assert distance(before, after[0]) <= 1
    assert distance(after[0], after[1]) > 5


def test_adapters_on_different_layers_share_a_batch(sd):
    adapters = {
        "mug": write_lora(strong_adapter(sd, 1), HEADER),
        "lamp": write_lora(strong_adapter(sd, 2, targets=("attention", "feed_forward", "convolution")), HEADER),
    }
    requests = [MUG, dataclasses.replace(MUG, adapter="lamp")]
    for request, image in zip(requests, draw(sd, requests, adapters), strict=True):
        assert distance(image, draw(sd, [request], adapters)[0]) <= 1


def test_a_model_without_signal_at_its_first_step_is_drawn_in_many_steps(folders):
    """There Karras' steps would begin with the same one several times, and diffusers with the second of them."""
    base = load_base(folders["sd-v"], "float32", "cpu")
    settings = dataclasses.replace(SETTINGS, scheduler="dpm", steps=25)
    assert draw(base, [dataclasses.replace(MUG, adapter="")], settings=settings)[0].std() > 1


@pytest.mark.parametrize("scheduler", ["checkpoint", *SCHEDULERS])
def test_every_scheduler_draws_and_leaves_the_checkpoints_own_in_place(base, scheduler):
    own = base.pipeline.scheduler
    image = draw(
        base,
        [MUG],
        {"mug": write_lora(strong_adapter(base, 1), HEADER)},
        dataclasses.replace(SETTINGS, scheduler=scheduler),
    )[0]
    assert image.shape == (64, 64, 3)
    assert image.std() > 1
    assert base.pipeline.scheduler is own


def test_shape_and_order_follow_the_requests_and_images_arrive_batch_by_batch(sd, monkeypatch):
    seen, draw_batch = [], rendering.draw_batch

    def drawn(*arguments):
        seen.append("batch")
        return draw_batch(*arguments)

    monkeypatch.setattr(rendering, "draw_batch", drawn)
    settings = dataclasses.replace(SETTINGS, width=48, height=80, steps=2)
    requests = [RenderRequest("a photo of a mug", "", seed) for seed in range(5)]
    images = render(sd, requests, settings, {}, 2, lambda number, image: seen.append((number, image.shape)))
    assert [image.shape for image in images] == [(80, 48, 3)] * 5
    assert images[0].dtype == np.uint8
    two = ["batch", *((number, (80, 48, 3)) for number in range(5))]
    assert seen == [*two[:3], "batch", *two[3:5], "batch", two[5]]


def test_an_image_that_is_not_finite_is_none_and_its_neighbours_are_drawn(sd):
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    latents[1] = torch.nan
    images = decode_latents(sd, latents)
    assert images[1] is None
    assert images[0].shape == images[2].shape == (64, 64, 3)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_keeps_the_autoencoder_in_single(folders, precision):
    half = load_base(folders["sdxl"], precision, "cpu")
    assert half.unet.dtype == getattr(torch, precision)
    assert half.vae.dtype == torch.float32
    latents = torch.full((1, 4, 8, 8), 2.0, dtype=torch.float16)
    assert decode_latents(half, latents)[0] is not None


def test_bfloat16_draws_nearly_what_single_precision_draws(folders):
    images = [
        draw(load_base(folders["sdxl"], precision, "cpu"), [dataclasses.replace(MUG, adapter="")])[0]
        for precision in ("float32", "bfloat16")
    ]
    assert np.abs(images[0].astype(int) - images[1]).mean() < 12
