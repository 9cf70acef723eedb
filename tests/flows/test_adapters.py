"""Each adapter of a run is an ordinary LoRA file: plain diffusers draws with it what the run drew."""

import json
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from catalog_schemas.variant import VariantSpec
from tasks.imaging.decode import decode
from tests.engine.fresh_process import main as draw
from tests.flows.shop import Shop


def test_diffusers_draws_the_same_drafts_with_each_adapter(shop: Shop, tmp_path: Path) -> None:
    for number in range(3):
        shop.add(f"sku-{number}", number)
    shop.changes = {
        "generation": {"steps": 3, "guidance": 3.0, "scheduler": "checkpoint", "negative_prompt": "blurry"},
        "training": {"learning_rate": 1.0e-2},
        "variants": {"techniques": ["regenerate"], "limit_per_sku": 1},
    }
    shop.run()
    adapters = {row["adapter_id"]: row for row in shop.table("adapters")}
    assert len(adapters) == 3
    drawn = {row["sku"]: row for row in shop.live() if row["technique"] == "regenerate"}
    folders = []
    for sku, row in drawn.items():
        folders.append(tmp_path / sku)
        folders[-1].mkdir()
        adapter = adapters[row["adapter_id"]]
        (folders[-1] / "lora.safetensors").write_bytes(shop.objects.read(adapter["key"]))
        spec = TypeAdapter(VariantSpec).validate_json(row["spec"])
        request = {
            "model": str(shop.model),
            "family": "sd",
            "prompt": spec.prompt,
            "negative": spec.negative_prompt,
            "seed": spec.seed,
            "steps": spec.steps,
            "guidance": spec.guidance,
            "side": spec.width,
        }
        (folders[-1] / "request.json").write_text(json.dumps(request))
        draw(folders[-1])
    for folder, row in zip(folders, drawn.values(), strict=True):
        theirs = np.rint(np.load(folder / "image.npy") * 255).astype(int)
        ours = decode(shop.objects.read(f"cache/drafts/{row['variant_id']}.png"), 1 << 20).rgb.astype(int)
        assert np.abs(theirs - ours).max() <= 1, folder.name
        base = [other for other in folders if other != folder]
        assert all(np.abs(theirs - np.rint(np.load(one / "image.npy") * 255)).max() > 1 for one in base)
    assert all(row["loss_after"] < row["loss_before"] for row in adapters.values())
