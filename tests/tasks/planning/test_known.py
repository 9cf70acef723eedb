"""Why an adapter is trained: whatever of it is not as it was is named."""

from dataclasses import replace
from typing import Any

import pytest

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from tasks.planning.known import Known

OLD = AdapterSpec("mug-1", "mug", "sha256:model", ("photo",), "{}", 2, "class", "red")
CHANGES = {
    "references": (("another",), "photo changed"),
    "class_noun": ("cup", "class noun changed"),
    "recipe": ('{"rank":4}', "recipe changed"),
    "start": ("", "class adapter changed"),
    "colour": ("blue", "colour changed"),
    "base_model": ("sha256:other", "model changed"),
    "trainer_version": (3, "trainer changed"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_reason_to_train_is_what_has_changed(field: str) -> None:
    value, reason = CHANGES[field]
    change: dict[str, Any] = {field: value}
    adapters = {OLD.id: AdapterFile("adapters/mug-1/1/adapter.safetensors", "0", 1)}
    known = Known(adapters=adapters, specs={OLD.sku: OLD}, live={}, images=set(), slots={}, refused={})
    assert known.why_train(OLD) == ""
    assert known.why_train(replace(OLD, **change)) == reason
    assert known.why_train(replace(OLD, sku="another", **change)) == "new"
