"""Pictures drawn over others and along edges: they depend on their own guide alone, as diffusers draws them."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionXLImg2ImgPipeline

from catalog_schemas.errors import ModelError
from tasks.engine.base_model import load_base, load_controlnet
from tasks.engine.guides import Guide
from tasks.engine.lora_file import write_lora
from tasks.engine.rendering import SCHEDULERS, RenderRequest, render
from tests.engine.material import HEADER, SETTINGS, photo, strong_adapter
from tests.models.tiny import build_tiny_controlnet

PLAIN = RenderRequest("a photo of a mug", "blurry", 5)


def new_controlnet(folders, base, folder, channels=3):
    own = {"epsilon": "sd", "v_prediction": "sd-v"}[base.pipeline.scheduler.config.prediction_type]
    name = own if base.family == "sd" else "sdxl"
    return load_controlnet(build_tiny_controlnet(folder, folders[name], channels), base)


def picture(seed: int) -> np.ndarray:
    return photo(seed).rgb[:64, :64].copy()


def guided(*guide) -> RenderRequest:
    return dataclasses.replace(PLAIN, guide=Guide(*guide))


def draw(base, requests, adapters=None, batch_size=8, settings=SETTINGS):
    return render(base, requests, settings, adapters or {}, batch_size)


def distance(a, b) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def test_what_is_drawn_over_a_picture_is_the_pipelines_own(base):
    kind = {"sd": StableDiffusionImg2ImgPipeline, "sdxl": StableDiffusionXLImg2ImgPipeline}[base.family]
    theirs = kind(**base.pipeline.components, **({"requires_safety_checker": False} if base.family == "sd" else {}))
    pixels = torch.from_numpy(picture(1)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        latents = base.vae.encode(pixels).latent_dist.mode() * base.vae.config.scaling_factor
    wanted = theirs(
        PLAIN.prompt,
        image=latents,
        strength=0.67,
        negative_prompt=PLAIN.negative_prompt,
        generator=torch.Generator().manual_seed(PLAIN.seed),
        num_inference_steps=SETTINGS.steps,
        guidance_scale=SETTINGS.guidance,
        output_type="np",
    ).images[0]
    assert np.abs(draw(base, [guided(picture(1), 0.67)])[0] - wanted * 255).max() <= 1


def test_the_less_is_drawn_anew_the_more_of_the_picture_is_left(sd):
    many = dataclasses.replace(SETTINGS, steps=10)
    pixels = torch.from_numpy(picture(1)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        whole = sd.vae.decode(sd.vae.encode(pixels).latent_dist.mode()).sample[0].clamp(-1, 1)
    kept = ((whole.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
    drawn = [draw(sd, [guided(picture(1), share)], settings=many)[0] for share in (0.01, 0.3, 0.6, 1.0)]
    away = [distance(image, kept) for image in drawn]
    assert away == sorted(away)
    assert away[0] < away[3] * 0.6


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_however_few_the_steps_are_one_is_drawn(sd, steps):
    few = dataclasses.replace(SETTINGS, steps=steps)
    for strength in (0.01, 1.0):
        assert draw(sd, [guided(picture(1), strength)], settings=few)[0].std() > 1


def test_pictures_of_a_mixed_batch_equal_those_drawn_alone(folders, base, tmp_path):
    control = new_controlnet(folders, base, tmp_path)
    adapters = {"mug": write_lora(strong_adapter(base, 1), HEADER), "lamp": write_lora(strong_adapter(base, 2), HEADER)}
    requests = [
        dataclasses.replace(guided(picture(seed), strength, follows), adapter=adapter)
        for seed, strength, follows, adapter in (
            (1, 0.6, None, "mug"), (2, 0.9, control, "mug"), (2, 0.6, None, "lamp"), (3, 0.9, control, ""),
            (1, 0.9, None, "mug"),
        )
    ]  # fmt: skip
    requests += [PLAIN, dataclasses.replace(requests[1], guide=Guide(picture(3), 0.9, control))]
    together = draw(base, requests, adapters)
    for request, image in zip(requests, together, strict=True):
        assert np.abs(image.astype(int) - draw(base, [request], adapters)[0]).max() <= 1
    assert distance(together[1], together[6]) > 1, "other edges"
    assert distance(together[0], together[4]) > 1, "another strength"


def test_edges_that_count_nothing_leave_the_picture_as_it_is_without(folders, base, tmp_path):
    control = new_controlnet(folders, base, tmp_path)
    plain = draw(base, [PLAIN])[0]
    none, some, much = (draw(base, [guided(picture(1), weight, control)])[0] for weight in (0.0, 0.3, 1.0))
    assert distance(none, plain) < 0.02
    assert 0 < distance(some, plain) < distance(much, plain)


@pytest.mark.parametrize("scheduler", ["checkpoint", *SCHEDULERS])
def test_every_scheduler_draws_with_a_guide_and_leaves_the_checkpoints_own_in_place(folders, sd, tmp_path, scheduler):
    own, settings = sd.pipeline.scheduler, dataclasses.replace(SETTINGS, scheduler=scheduler)
    requests = [guided(picture(1), 0.7), guided(picture(1), 0.7, new_controlnet(folders, sd, tmp_path, channels=1))]
    for image in draw(sd, requests, settings=settings):
        assert image.shape == (64, 64, 3)
        assert image.std() > 1
    assert sd.pipeline.scheduler is own


def test_a_guide_in_half_precision(folders, tmp_path):
    half = load_base(folders["sdxl"], "bfloat16", "cpu")
    control = new_controlnet(folders, load_base(folders["sdxl"], "float32", "cpu"), tmp_path)
    low = load_controlnet(tmp_path, half)
    assert (control.dtype, low.dtype) == (torch.float32, torch.bfloat16)
    single = load_base(folders["sdxl"], "float32", "cpu")
    for guide in ((picture(1), 0.7, None), (picture(1), 0.7, True)):
        both = (guided(*guide[:2], guide[2] and control), guided(*guide[:2], guide[2] and low))
        assert distance(draw(single, [both[0]])[0], draw(half, [both[1]])[0]) < 12


def test_a_controlnet_that_cannot_be_loaded_is_told(folders, sd, tmp_path):
    build_tiny_controlnet(tmp_path, folders["sd"])
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_controlnet(tmp_path, sd)
