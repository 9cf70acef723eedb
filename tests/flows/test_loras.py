"""A house's style: drawn with by a run, and unknown to training."""

from pathlib import Path

import numpy as np
import pytest

from catalog_schemas.errors import ConfigError, ModelError
from tasks.engine.base_model import load_base
from tasks.engine.lora_file import write_lora
from tasks.imaging.decode import decode
from tests.engine.material import HEADER, strong_adapter
from tests.flows.shop import Shop, assert_sound


@pytest.fixture
def styled(shop: Shop, tmp_path: Path) -> Shop:
    """A shop with one product, and a style."""
    shop.add("sku-0", 0)
    style = tmp_path / "style.safetensors"
    style.write_bytes(write_lora(strong_adapter(load_base(shop.model), 1), HEADER))
    shop.changes["model"] = {"loras": [{"source": str(style), "weight": 0.7}]}
    return shop


def test_a_style_is_in_all_that_is_drawn_and_in_no_adapter(styled: Shop) -> None:
    with_style = styled.changes.pop("model")
    plain = styled.run().record
    before = {row["slot"]: row for row in styled.live()}
    styled.changes["model"] = with_style
    done = styled.run().record
    assert (plain.adapters_trained, done.adapters_trained) == (1, 0), "training knows of none"
    shown = sum(row["technique"] != "packshot" for row in before.values())
    assert (plain.images_published, done.images_published) == (6, shown)
    after = {row["slot"]: row for row in styled.live()}
    assert after.keys() == before.keys()
    for slot, row in after.items():
        assert row["adapter_id"] == before[slot]["adapter_id"]
        pictures = [decode(styled.objects.read(one["key"]), 1 << 20).rgb.astype(int) for one in (before[slot], row)]
        drawn = row["technique"] != "packshot"
        assert (np.abs(pictures[0] - pictures[1]).max() > 10) == drawn, row["technique"]
    assert_sound(styled)


def test_the_same_style_changes_nothing_and_another_weight_draws_anew(styled: Shop) -> None:
    styled.run()
    assert not styled.plan().jobs
    styled.changes["model"]["loras"][0]["weight"] = 0.3
    plan = styled.plan()
    assert {one.reason for job in plan.jobs for one in job.variants} == {"model changed"}
    assert not any(job.train for job in plan.jobs)


def test_a_style_for_another_model_is_told_before_anything_is_done(styled: Shop, tmp_path: Path) -> None:
    (tmp_path / "style.safetensors").write_bytes(b"rubbish")
    with pytest.raises(ModelError, match=r"style\.safetensors: expected a LoRA in a safetensors file"):
        styled.run()
    assert not Path(styled.store).exists()


def test_what_draws_in_training_is_refused_beside_it(styled: Shop) -> None:
    styled.changes["training"] = {"prior_images": 2}
    with pytest.raises(ConfigError, match=r"model\.loras are for a run's pictures, but training\.prior_images draws"):
        styled.run()
