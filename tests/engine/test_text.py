"""Adapters that change what prompts mean: learned words, and LoRA on the text encoders."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load as load_tensors

from tasks.engine.bank import AdapterBank, TextPart
from tasks.engine.base_model import load_base
from tasks.engine.conditioning import encode_prompt
from tasks.engine.jobs import TrainingJob
from tasks.engine.lora_file import read_lora, write_embedding, write_lora
from tasks.engine.methods import TOKENS, new_bank, token_rate
from tasks.engine.rendering import RenderRequest, render
from tasks.engine.text import encode, tokenize
from tests.engine.material import HEADER, SETTINGS, job, recipe, train, weights_of

PROMPT = "a photo of zqx mug, on a table"


def words(number: int, steps: int = 4) -> TrainingJob:
    return job(number, steps, instance="a photo of zqx mug")


def method(name: str = "", **changes):
    return recipe(method=name, token="zqx", learning_rate=5e-2, **changes)


def numbers(outcome) -> torch.Tensor:
    """All that was learned, in one row."""
    tokens = [rows.flatten() for rows in outcome.weights.tokens.values()]
    return torch.cat([*tokens, *([weights_of(outcome)] if outcome.weights.modules else [])])


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_prompts_are_read_as_the_pipeline_reads_them(folders, model):
    base = load_base(folders[model], "float32", "cpu")
    for prompt in ("", "a photo of a mug", "a  mug,\nred & blue", "mug " * 90):
        with AdapterBank(base.unet, 1, 2, (), TextPart(base.text_encoders, True, 1)) as bank, torch.no_grad():
            ours = encode(base, bank, [tokenize(base, prompt, "zqx", 2)])
        theirs = encode_prompt(base, prompt)
        assert torch.allclose(ours.embeds, theirs.embeds, atol=1e-5)
        assert (ours.pooled is None and theirs.pooled is None) or torch.allclose(ours.pooled, theirs.pooled, atol=1e-5)


def test_every_word_becomes_its_tokens_and_the_text_stays_within_its_length(folders):
    base = load_base(folders["sd"], "float32", "cpu")
    tokens = tokenize(base, "zqx mug and zqx, not zqxy", "zqx", 3)
    assert tokens.learned[0][tokens.learned[0] >= 0].tolist() == [0, 1, 2, 0, 1, 2]
    long = tokenize(base, "mug " * 60 + "zqx", "zqx", 3)
    assert long.ids[0].shape == (1, 77)
    assert long.ids[0][0, -1] == base.pipeline.tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("sd", {"method": "textual-inversion", "tokens": 3}),
        ("sdxl", {"method": "pivotal", "text_encoder": True, "token_learning_rate": 1e-2}),
        ("sd-v", {"text_encoder": True, "prior_weight": 0.0}),
    ],
)
def test_a_cohort_learns_words_and_text_encoders_as_each_sku_does_alone(folders, model, changes):
    base = load_base(folders[model], "float64", "cpu")
    how = recipe(token="zqx", batch_size=2, gradient_clip=0.05, **changes)
    jobs = [words(number, steps=3) for number in range(3)]
    for one, outcome in zip(jobs, train(base, jobs, how), strict=True):
        alone = numbers(train(base, [one], how)[0])
        assert (numbers(outcome) - alone).norm() < 1e-9 * alone.norm()


@pytest.mark.parametrize(("model", "name"), [("sd", "pivotal"), ("sdxl", "textual-inversion")])
def test_words_are_learned_and_drawn_in_half_precision(folders, model, name):
    base = load_base(folders[model], "bfloat16", "cpu")
    outcome = train(base, [words(0, 2)], method(name))[0]
    requests = [RenderRequest(PROMPT, "blurry", 1, "mug"), RenderRequest(PROMPT, "", 1)]
    images = render(base, requests, SETTINGS, {"mug": write_lora(outcome.weights, HEADER)}, 2)
    assert all(image is not None for image in images)


@pytest.mark.parametrize("name", ["textual-inversion", "pivotal"])
def test_training_words_lowers_the_loss_and_changes_only_what_it_should(folders, name):
    base = load_base(folders["sd"], "float32", "cpu")
    outcome = train(base, [words(0, 40)], method(name, prior_weight=0.0, batch_size=2))[0]
    assert outcome.loss_after < outcome.loss_before
    assert outcome.weights.tokens["te"].shape == (2, 32)
    assert bool(outcome.weights.modules) == (name == "pivotal")
    assert outcome.weights.word == "zqx"


def test_a_learned_word_changes_only_prompts_that_have_it(folders):
    base = load_base(folders["sd"], "float32", "cpu")
    outcome = train(base, [words(0, 10)], method("textual-inversion"))[0]
    files = {"mug": write_lora(outcome.weights, HEADER)}
    requests = [RenderRequest(prompt, "", 1, key) for prompt in (PROMPT, "a photo of a mug") for key in ("mug", "")]
    with_word, without_word, other, plain = render(base, requests, SETTINGS, files, 4)
    assert np.abs(with_word.astype(int) - without_word).max() > 3
    assert np.abs(other.astype(int) - plain).max() <= 1


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_diffusers_draws_the_same_with_the_exported_lora_and_words(folders, model, tmp_path):
    base = load_base(folders[model], "float32", "cpu")
    how = method("pivotal", text_encoder=True)
    outcome = train(base, [words(0, 8)], how)[0]
    header = dataclasses.replace(HEADER, kind=base.kind)
    data = write_lora(outcome.weights, header)
    ours = render(base, [RenderRequest(PROMPT, "blurry", 2, "mug")], SETTINGS, {"mug": data}, 1)[0]
    kind = StableDiffusionPipeline if model == "sd" else StableDiffusionXLPipeline
    pipeline = kind.from_pretrained(folders[model])
    plain = draw(pipeline)
    (tmp_path / "lora.safetensors").write_bytes(write_lora(dataclasses.replace(outcome.weights, tokens={}), header))
    pipeline.load_lora_weights(str(tmp_path), weight_name="lora.safetensors")
    words_alone = load_tensors(write_embedding(outcome.weights, header))
    if model == "sd":
        pipeline.load_textual_inversion(words_alone["emb_params"], token="zqx")
    else:
        parts = [("clip_l", pipeline.text_encoder, pipeline.tokenizer)]
        parts += [("clip_g", pipeline.text_encoder_2, pipeline.tokenizer_2)]
        for name, encoder, tokenizer in parts:
            pipeline.load_textual_inversion(words_alone[name], token="zqx", text_encoder=encoder, tokenizer=tokenizer)
    theirs = draw(pipeline)
    assert np.abs(ours - theirs).max() <= 1.0
    assert np.abs(theirs - plain).max() > 5


def draw(pipeline) -> np.ndarray:
    return (
        255
        * pipeline(
            PROMPT,
            negative_prompt="blurry",
            generator=torch.Generator().manual_seed(2),
            num_inference_steps=SETTINGS.steps,
            guidance_scale=SETTINGS.guidance,
            output_type="np",
        ).images[0]
    )


def test_adapters_of_every_kind_share_a_batch(folders):
    base = load_base(folders["sd"], "float32", "cpu")
    recipes = {
        "lora": method(),
        "words": method("textual-inversion", tokens=1),
        "both": method("pivotal", tokens=3),
        "deep": method(text_encoder=True),
    }
    files = {key: write_lora(train(base, [words(0, 3)], how)[0].weights, HEADER) for key, how in recipes.items()}
    requests = [RenderRequest(PROMPT, "zqx, blurry", 1, key) for key in [*files, ""]]
    together = render(base, requests, SETTINGS, files, 8)
    for request, image in zip(requests, together, strict=True):
        alone = render(base, [request], SETTINGS, files, 1)[0]
        assert np.abs(image.astype(int) - alone).max() <= 1, request.adapter
    assert len({image.tobytes() for image in together}) == 5


def test_files_with_words_read_back(folders):
    base = load_base(folders["sdxl"], "float32", "cpu")
    lora = train(base, [words(0, 2)], method("pivotal", text_encoder=True))[0].weights
    back = read_lora(write_lora(lora, dataclasses.replace(HEADER, kind="sdxl")))
    assert back.word == "zqx"
    assert {name: tuple(rows.shape) for name, rows in back.tokens.items()} == {"te1": (2, 32), "te2": (2, 32)}
    assert back.modules.keys() == lora.modules.keys()
    assert back.targets == ("attention",)


def test_a_class_adapter_is_where_its_skus_begin(folders):
    """With a learning rate that changes nothing the start is the outcome, at any rank and alpha."""
    base = load_base(folders["sd"], "float32", "cpu")
    general = train(base, [job(7, 6)], recipe(rank=2, alpha=1.0, learning_rate=1e-2))[0]
    how = recipe(rank=4, alpha=8.0, learning_rate=1e-12)
    begun = train(base, [dataclasses.replace(job(0, 1), start=general.weights)], how)[0]
    requests = [RenderRequest(PROMPT, "", 1, key) for key in ("general", "begun", "")]
    files = {"general": write_lora(general.weights, HEADER), "begun": write_lora(begun.weights, HEADER)}
    first, second, plain = render(base, requests, SETTINGS, files, 3)
    assert np.abs(first.astype(int) - second).max() <= 1
    assert np.abs(first.astype(int) - plain).max() > 3


@pytest.mark.parametrize("model", ["sd", "sdxl"])
def test_learned_words_alone_learn_at_their_own_pace(folders, model):
    base = load_base(folders[model], "float32", "cpu")
    bank = new_bank(base, recipe(method="pivotal", text_encoder=True), 1)
    runs = bank.groups(token_rate(recipe(method="pivotal")))
    learned = sum(run.stop - run.start for run, factor in runs if factor == 3.0)
    assert learned == TOKENS * sum(one.config.hidden_size for one in base.text_encoders.values())
    assert {factor for _, factor in runs} == {1.0, 3.0}
    assert sum(run.stop - run.start for run, _ in runs) == bank.weights.shape[1]
    assert token_rate(recipe(method="pivotal", token_learning_rate=5e-3)) == 5
    assert token_rate(recipe(method="textual-inversion", token_learning_rate=5e-3)) == 1
