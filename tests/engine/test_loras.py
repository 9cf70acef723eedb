"""What drawing adds to the base model: fused weights, on which a product's own adapter works as on any others."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from catalog_schemas.errors import ModelError
from tasks.engine.base_model import load_base
from tasks.engine.lora_file import LoraWeights, write_lora
from tasks.engine.rendering import RenderRequest, render
from tests.engine.material import HEADER, SETTINGS, strong_adapter

EVERYWHERE = {"targets": ("attention", "feed_forward", "convolution")}
REQUEST = RenderRequest("a photo of sks mug on a table", "blurry", 5)


def draw(base, request=REQUEST, adapters=None):
    [image] = render(base, [request], SETTINGS, adapters or {}, 1)
    return image.astype(int)


@pytest.fixture
def styles(sd, tmp_path: Path) -> list[str]:
    """Two LoRAs of other ranks and targets, as files."""
    files = [tmp_path / "style.safetensors", tmp_path / "sampler.safetensors"]
    files[0].write_bytes(write_lora(strong_adapter(sd, 1), HEADER))
    files[1].write_bytes(write_lora(strong_adapter(sd, 2, rank=2, alpha=1.0, **EVERYWHERE), HEADER))
    return [str(file) for file in files]


def test_weights_are_what_diffusers_adds(folders, sd, styles):
    pipeline = StableDiffusionPipeline.from_pretrained(folders["sd"], safety_checker=None)
    pipeline.load_lora_weights(styles[0], adapter_name="style")
    pipeline.load_lora_weights(styles[1], adapter_name="sampler")
    pipeline.set_adapters(["style", "sampler"], [0.5, -1.25])
    base = load_base(folders["sd"], "float32", "cpu", ((styles[0], 0.5), (styles[1], -1.25)))
    noisy, text = torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    with torch.no_grad():
        plain, fused, expected = (one(noisy, 400, text).sample for one in (sd.unet, base.unet, pipeline.unet))
    assert (plain - expected).abs().max() > 0.01
    assert torch.allclose(fused, expected, atol=1e-5)
    assert {type(part) for part in base.unet.modules()} == {type(part) for part in sd.unet.modules()}


def test_a_products_adapter_comes_on_top(folders, sd, styles):
    """As one adapter does that holds the factors of both."""
    own, style = strong_adapter(sd, 3), strong_adapter(sd, 1)
    both = LoraWeights(
        {
            name: tuple(torch.cat([one.modules[name][n] for one in (own, style)], dim=n) for n in (0, 1))
            for name in own.modules
        },
        8,
        16.0,
    )
    base = load_base(folders["sd"], "float32", "cpu", ((styles[0], 1.0),))
    request = RenderRequest(REQUEST.prompt, REQUEST.negative_prompt, REQUEST.seed, "mug")
    together = draw(base, request, {"mug": write_lora(own, HEADER)})
    assert np.abs(together - draw(sd, request, {"mug": write_lora(both, HEADER)})).max() <= 1
    assert np.abs(together - draw(sd, request, {"mug": write_lora(own, HEADER)})).max() > 10


def test_the_model_that_is_trained_is_left_as_it_was(folders, sd, styles):
    before = draw(sd)
    styled = load_base(folders["sd"], "float32", "cpu", ((styles[0], 1.0),))
    assert np.abs(draw(styled) - before).max() > 10
    assert load_base(folders["sd"], "float32", "cpu") is sd
    assert load_base(folders["sd"], "float32", "cpu", ((styles[0], 1.0),)) is styled
    assert (draw(sd) == before).all()


def test_few_bits_lose_nothing_of_the_sum(folders, styles):
    exact = load_base(folders["sd"], "float32", "cpu", ((styles[1], 0.01),)).unet.state_dict()
    base = load_base(folders["sd"], "bfloat16", "cpu", ((styles[1], 0.01),))
    assert base.dtype == torch.bfloat16
    assert all(torch.equal(value, exact[name].bfloat16()) for name, value in base.unet.state_dict().items())
    assert {value.dtype for value in base.vae.state_dict().values()} == {torch.float32}


def test_a_lora_that_changes_nothing_here_is_told(folders, tmp_path):
    file = tmp_path / "other.safetensors"
    save_file({"unet.nowhere.to_q.lora_A.weight": torch.ones(2, 3)}, file)
    with pytest.raises(ModelError, match=r"other\.safetensors: the LoRA (could not be loaded|changes nothing)"):
        load_base(folders["sd"], "float32", "cpu", ((str(file), 1.0),))
