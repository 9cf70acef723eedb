"""The training script, proven on a budget of under a minute: it trains, resumes, and exports what diffusers loads."""

import csv
import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel

from infra.demo import autoencoder
from infra.demo.autoencoder import new_vae
from infra.demo.denoiser import emphasis
from infra.demo.export import render, whiten
from infra.demo.progress import Journal, backward
from infra.demo.recipes import RECIPES
from infra.demo.tokens import build_tokenizer
from infra.demo.train import main

pytestmark = pytest.mark.xdist_group("training")  # one worker trains the model that all of them look at
ARGUMENTS = ["--budget", "0.03", "--recipe", "tiny", "--device", "cpu"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "HELD", 16)
        main(["--out", str(out), *ARGUMENTS])
        yield out
    torch.set_num_threads(threads)


def _log(out):
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_every_stage_runs_and_logs_finite_losses(trained):
    rows = _log(trained)
    assert {r["stage"] for r in rows} == {"vae", "clip", "classifier", "decoder", "unet", "controlnet"}
    assert all(np.isfinite(float(r["loss"])) for r in rows)


def test_the_exported_folder_loads_and_renders_by_prompt(trained):
    pipe = StableDiffusionPipeline.from_pretrained(trained / "model", use_safetensors=True, safety_checker=None)
    pipe.set_progress_bar_config(disable=True)
    images = render(pipe, ["a red mug", "a red mug"], [1, 2], steps=2)
    assert images.shape == (2, 64, 64, 3)
    assert images.dtype == np.uint8
    assert not np.array_equal(images[0], images[1])
    assert CLIPModel.from_pretrained(trained / "model" / "clip").config.projection_dim == 128


def test_a_finished_run_is_not_trained_again(trained):
    before, weights = _log(trained), (trained / "unet.pt").read_bytes()
    main(["--out", str(trained), *ARGUMENTS])
    assert _log(trained) == before
    assert (trained / "unet.pt").read_bytes() == weights


def test_a_resumed_stage_goes_on_with_the_budget_that_was_left(tmp_path):
    journal = Journal(tmp_path / "log.csv", "unet", 2.0)
    journal.resume({"step": 40, "spent": 1.5})
    assert journal.step == 40
    assert not journal.over()
    assert journal.rate(warm=10) < 0.3
    journal.resume({"step": 60, "spent": 2.0})
    assert journal.over()


def test_a_batch_split_among_threads_has_the_gradient_of_the_whole():
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    grads = []
    for workers in (1, 3):
        layer = torch.nn.Linear(3, 1)
        torch.nn.init.constant_(layer.weight, 0.5)
        torch.nn.init.zeros_(layer.bias)
        backward(lambda part, n=layer: n(x[part]).square().mean(), 10, workers)
        grads.append(layer.weight.grad)
    assert torch.allclose(*grads, atol=1e-6)


def test_whitening_makes_unit_latents_and_leaves_reconstructions_as_they_were():
    torch.manual_seed(0)
    vae: AutoencoderKL = new_vae(RECIPES["tiny"]).eval()
    x = torch.rand(6, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        before = vae.encode(x).latent_dist
        made = vae.decode(before.mode()).sample
    whiten(vae, before.mode().clone())
    with torch.inference_mode():
        after = vae.encode(x).latent_dist
        assert torch.allclose(vae.decode(after.mode()).sample, made, atol=1e-3)
        assert torch.allclose(after.mode().mean((0, 2, 3)), torch.zeros(4), atol=1e-3)
        assert torch.allclose(after.mode().std((0, 2, 3)), torch.ones(4), atol=1e-3)
        assert after.std.max() < 1e-2


def test_the_tokenizer_is_the_same_each_time_and_a_run_goes_on_with_the_one_it_has(tmp_path):
    vocabularies = [build_tokenizer(tmp_path / str(number)).get_vocab() for number in range(4)]
    assert all(one == vocabularies[0] for one in vocabularies)
    merges = tmp_path / "0" / "merges.txt"
    merges.write_text("#version: 0.2\n")
    build_tokenizer(tmp_path / "0")
    assert merges.read_text() == "#version: 0.2\n"


def test_the_tokenizer_keeps_known_words_whole_and_never_fails_on_unknown_text(tmp_path):
    tokenizer = build_tokenizer(tmp_path)
    for word in ("mug", "sks", "teapot", "christmas", "sunglasses", "marble"):
        assert tokenizer.tokenize(word) == [word + "</w>"]
    assert (
        len(tokenizer("Zürich \U0001f98a frobnicate 42 % " * 30, truncation=True).input_ids)
        == tokenizer.model_max_length
    )


def test_a_run_that_begins_with_a_model_teaches_its_unet_alone_and_keeps_the_rest(trained, tmp_path):
    begin = trained / "model"
    shutil.copytree(trained / "data", tmp_path / "data")  # to photograph others takes most of the time
    main(["--out", str(tmp_path), "--begin", str(begin), *ARGUMENTS])
    assert {row["stage"] for row in _log(tmp_path)} == {"classifier", "unet", "controlnet"}

    def same(part):
        return [(folder / part).read_bytes() for folder in (begin, tmp_path / "model")]

    for part in ("vae/diffusion_pytorch_model.safetensors", "clip/model.safetensors", "tokenizer/tokenizer.json"):
        before, after = same(part)
        assert before == after, part
    for part in ("unet/diffusion_pytorch_model.safetensors", "controlnet/diffusion_pytorch_model.safetensors"):
        before, after = same(part)
        assert before != after, part
    for config in (tmp_path / "model").rglob("*.json"):
        assert str(tmp_path.parent) not in config.read_text(), config


def test_errors_weigh_more_on_the_product_and_one_on_average():
    masks = np.zeros((600, 8, 8), np.uint8)
    masks[0, :4, :4] = 255
    masks[1, 4:, 6:] = 255
    weight = emphasis(masks, 4).float()
    assert weight.shape == (600, 2, 2)
    assert float(weight.mean()) == pytest.approx(1, abs=1e-3)
    assert weight[0, 0, 0] / weight[0, 1, 1] == pytest.approx(4, rel=1e-3)
    assert weight[1, 1, 1] / weight[1, 0, 0] == pytest.approx(2.5, rel=1e-3)
