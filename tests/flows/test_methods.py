"""Each way of training goes through the flow, and its files draw elsewhere what the run drew."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from pydantic import TypeAdapter
from safetensors.torch import load as load_tensors

from catalog_schemas.variant import VariantSpec
from tasks.imaging.decode import decode
from tests.flows.shop import Shop, assert_sound

WAYS: dict[str, dict[str, Any]] = {
    "textual-inversion": {"method": "textual-inversion", "learning_rate": 5e-2},
    "pivotal": {"method": "pivotal", "learning_rate": 1e-2, "text_encoder": True},
    "dreambooth": {"method": "dreambooth", "learning_rate": 1e-3},
    "dreambooth with text encoder": {"method": "dreambooth", "learning_rate": 1e-3, "text_encoder": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_files_of_each_method_draw_elsewhere_what_the_run_drew(shop: Shop, tmp_path: Path, way: str) -> None:
    shop.add("mug-1", 0, class_noun="mug")
    shop.changes = {
        "training": WAYS[way],
        "generation": {"steps": 3, "guidance": 3.0, "scheduler": "checkpoint", "negative_prompt": "blurry"},
        "variants": {"techniques": ["regenerate"], "limit_per_sku": 1, "colours": ["original"]},
        "checks": [],
    }
    run = shop.run().record
    assert (run.adapters_trained, run.images_published) == (1, 1)
    (adapter,), (image,) = shop.table("adapters"), shop.live()
    assert json.loads(adapter["recipe"])["method"] == WAYS[way]["method"]
    spec = TypeAdapter(VariantSpec).validate_json(image["spec"])
    ours = decode(shop.objects.read(f"cache/drafts/{image['variant_id']}.png"), 1 << 20).rgb.astype(int)

    pipeline = StableDiffusionPipeline.from_pretrained(shop.model)
    pipeline.set_progress_bar_config(disable=True)
    plain = drawn(pipeline, spec)
    (tmp_path / "adapter.safetensors").write_bytes(shop.objects.read(adapter["key"]))
    load_as_documented(pipeline, tmp_path, shop.objects.read(adapter["embedding"]) if adapter["embedding"] else b"")
    theirs = drawn(pipeline, spec)
    assert np.abs(theirs - ours).max() <= 1
    assert np.abs(theirs - plain).max() > 3
    assert bool(adapter["embedding"]) == (way in ("textual-inversion", "pivotal"))
    assert_sound(shop)


def load_as_documented(pipeline: Any, folder: Path, embedding: bytes) -> None:
    """As `docs/training.md` says for diffusers."""
    tensors = load_tensors((folder / "adapter.safetensors").read_bytes())
    lora = {key: value for key, value in tensors.items() if not key.startswith("bundle_emb.")}
    differences = {key: value for key, value in lora.items() if key.endswith((".diff", ".diff_b"))}
    if differences:
        add(pipeline.unet, "lora_unet_", differences)
        add(pipeline.text_encoder, "lora_te_", differences)
        assert not differences, "every key has found its weight"
    elif lora:
        pipeline.load_lora_weights(lora)
    if embedding:
        (folder / "embedding.safetensors").write_bytes(embedding)
        pipeline.load_textual_inversion(str(folder / "embedding.safetensors"), token="sks")


def add(module: torch.nn.Module, prefix: str, differences: dict[str, torch.Tensor]) -> None:
    """Adds what is the module's; takes it out of `differences`."""
    for name, parameter in module.named_parameters():
        path, _, kind = name.rpartition(".")
        spelled = path.replace(".", "_")
        if prefix == "lora_te_" and not spelled.startswith("text_model_"):
            spelled = f"text_model_{spelled}"
        change = differences.pop(f"{prefix}{spelled}{'.diff' if kind == 'weight' else '.diff_b'}", None)
        if change is not None:
            parameter.data += change.float()


def drawn(pipeline: Any, spec: VariantSpec) -> Any:
    """The variant in plain diffusers, 0 to 255."""
    images = pipeline(
        spec.prompt,
        negative_prompt=spec.negative_prompt,
        generator=torch.Generator().manual_seed(spec.seed),
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        width=spec.width,
        height=spec.height,
        output_type="np",
    ).images
    return np.rint(images[0] * 255).astype(int)
