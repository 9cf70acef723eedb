"""Run as a program, with nothing of packshot's engine but the file it wrote: diffusers loads it and draws.

Arguments: folders with `lora.safetensors` and `request.json` (model, family, prompt, negative, seed, steps, guidance,
side); writes `image.npy` beside them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline


def main(folder: Path) -> None:
    request = json.loads((folder / "request.json").read_text())
    kind = StableDiffusionPipeline if request["family"] == "sd" else StableDiffusionXLPipeline
    options = {"safety_checker": None, "requires_safety_checker": False} if request["family"] == "sd" else {}
    pipeline = kind.from_pretrained(request["model"], **options)
    pipeline.load_lora_weights(str(folder), weight_name="lora.safetensors")
    image = pipeline(
        request["prompt"],
        negative_prompt=request["negative"] or None,
        generator=torch.Generator().manual_seed(request["seed"]),
        num_inference_steps=request["steps"],
        guidance_scale=request["guidance"],
        width=request["side"],
        height=request["side"],
        output_type="np",
    ).images[0]
    np.save(folder / "image.npy", image)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        main(Path(argument))
