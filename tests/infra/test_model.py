"""The shipped demo model: it loads as any Stable Diffusion does, listens to its prompt, and knows its own world."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionInpaintPipeline, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTokenizer

import infra.demo
from infra.demo.autoencoder import as_tensor, psnr
from infra.demo.control import draw_over, edge_agreement, edges
from infra.demo.export import render
from infra.demo.products import classes, random_product
from infra.demo.scenes import SCENES
from infra.demo.studio import shoot
from infra.demo.towers import tokenize

MODEL = Path(infra.demo.__file__).parent / "model"


@pytest.fixture(scope="module")
def pipe():
    loaded = StableDiffusionPipeline.from_pretrained(
        MODEL, use_safetensors=True, safety_checker=None, dtype=torch.float32
    )
    loaded.set_progress_bar_config(disable=True)
    return loaded


@pytest.fixture(scope="module")
def photographs():
    nouns = sorted(classes())[::4]
    specs = [random_product(np.random.default_rng([4242, i]), noun) for i, noun in enumerate(nouns)]
    shots = [shoot(spec, SCENES["white_studio"], 777_000 + i) for i, spec in enumerate(specs)]
    return nouns, np.stack([shot.photograph.image for shot in shots])


def test_the_weights_are_safetensors_of_at_most_sixty_megabytes():
    files = [p for p in MODEL.rglob("*") if p.is_file()]
    assert len([p for p in files if p.suffix == ".safetensors"]) >= 4
    assert not [p for p in files if p.suffix in (".bin", ".pt", ".ckpt")]
    assert sum(p.stat().st_size for p in files) <= 60e6


def test_the_same_seed_renders_another_colour_for_another_prompt(pipe):
    red, blue, again = render(
        pipe, ["a photo of a red box, plain white background", "a photo of a blue box, plain white background"] * 1
        + ["a photo of a red box, plain white background"], [3, 3, 3], steps=10,
    )  # fmt: skip
    middle = (slice(44, 84), slice(44, 84))
    assert np.abs(red.astype(int) - again).max() <= 2
    assert red[middle][..., 0].mean() > red[middle][..., 2].mean() + 20
    assert blue[middle][..., 2].mean() > blue[middle][..., 0].mean() + 20


def test_a_white_studio_comes_out_white_and_a_garden_green(pipe):
    studio, garden = render(
        pipe,
        ["a photo of a red mug, plain white background", "an empty lawn in a garden, garden background"],
        [1, 1],
        10,
    )
    assert studio[:20].mean() > 200
    assert garden[80:, :, 1].mean() > garden[80:, :, 2].mean() + 20


def test_the_vae_keeps_photographs(pipe, photographs):
    assert psnr(pipe.vae, as_tensor(photographs[1], torch.device("cpu"))) > 25


def test_the_clip_tells_scenes_apart():
    names = (
        "white_studio",
        "garden",
        "beach",
        "christmas",
        "sunset",
        "winter",
        "autumn",
        "bathroom",
        "cafe",
        "red_studio",
    )
    scenes = [SCENES[n] for n in names]
    spec = random_product(np.random.default_rng(4242), "mug", "teal")
    images = np.stack([shoot(spec, scene, 777_100 + i).photograph.image for i, scene in enumerate(scenes)])
    texts = [f"a photo of a teal mug {s.places[0]}, {s.backgrounds[0]}" for s in scenes]
    clip = CLIPModel.from_pretrained(MODEL / "clip", dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(MODEL / "clip")
    with torch.inference_mode():
        made = clip(input_ids=tokenize(tokenizer, texts), pixel_values=as_tensor(images, torch.device("cpu")))
    right = (made.logits_per_image.argmax(1) == torch.arange(len(names))).float().mean()
    assert right >= 0.7


def test_inpainting_with_masked_latents_keeps_what_lies_outside_the_mask(pipe, photographs):
    inpaint = StableDiffusionInpaintPipeline.from_pipe(pipe, safety_checker=None)
    inpaint.set_progress_bar_config(disable=True)
    image = torch.from_numpy(photographs[1][:1]).permute(0, 3, 1, 2).float() / 255
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., 64:] = 1
    made = inpaint(
        "a photo of a mug", image=image, mask_image=mask, height=128, width=128, num_inference_steps=6, strength=1.0,
        guidance_scale=3.0, generator=torch.Generator().manual_seed(0), output_type="np",
    ).images[0]  # fmt: skip
    before = image[0].permute(1, 2, 0).numpy()
    kept = np.abs(made[:, :52] - before[:, :52]).mean()
    assert kept < 0.06
    assert np.abs(made[:, 70:] - before[:, 70:]).mean() > kept


def test_the_controlnet_draws_along_the_edges_it_is_given(pipe, photographs):
    control = ControlNetModel.from_pretrained(MODEL / "controlnet", use_safetensors=True, dtype=torch.float32)
    nouns, images = (some[:2] for some in photographs)
    prompts = [f"a photo of a {noun}, plain white background" for noun in nouns]
    drawings = edges(images)
    along = draw_over(pipe, control, prompts, drawings)
    free = render(pipe, prompts, list(range(len(prompts))), steps=10)
    assert edge_agreement(drawings, along) > edge_agreement(drawings, free) + 0.08


def test_edges_agree_with_their_own_picture_and_not_with_another(photographs):
    images = photographs[1][:4]
    assert edge_agreement(edges(images), images) == 1
    assert edge_agreement(edges(images), images[::-1]) < 0.7
    assert edge_agreement(edges(images), np.zeros_like(images)) == 0
