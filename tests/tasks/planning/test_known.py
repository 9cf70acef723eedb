"""Which adapters count, and why one is trained: whatever of it is not as it was is named."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from catalog_schemas.variant import VariantSpec
from tasks.planning.known import Known, LiveImage, class_adapters
from tasks.publishing.json_columns import SPEC
from tasks.runtime.identities import slot_of
from tasks.storage.objects import ObjectStore
from tasks.storage.table_rows import rows_of
from tasks.storage.tables import Tables
from tests.crash.night import EPOCH, adapter_record, context_of

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


IMAGE_CHANGES = {
    "references": (("another",), "photo changed"),
    "controlnet": ("sha256:edges", "model changed"),
    "scene_prompt": ("an empty kitchen", "scene changed"),
    "own_colour_hex": ("#1a7f5a", "colour changed"),
    "renderer_version": (2, "renderer changed"),
    "technique_version": (2, "technique changed"),
    "steps": (5, "settings changed"),
}


@pytest.mark.parametrize("field", IMAGE_CHANGES)
def test_the_reason_to_make_an_image_again_is_what_has_changed(field: str) -> None:
    value, reason = IMAGE_CHANGES[field]
    change: dict[str, Any] = {field: value}
    old = VariantSpec("mug-1", *"abcd", 0, *[""] * 6, ("photo",), 1, 1.0, "", 64, 64, 0.8, 1)
    slot = slot_of(old, "web")
    held = LiveImage("id", slot, SPEC.dump_json(old).decode(), "catalog", "Mug")
    known = Known(adapters={}, specs={}, live={}, images=set(), slots={slot: held}, refused={})
    assert known.why_render(replace(old, **change), ["web"], "Mug") == reason
    assert known.why_render(replace(old, **change, scene="another"), ["web"], "Mug") == "new"
    assert known.why_render(old, ["web"], "Cup") == "title changed"
    assert known.why_render(old, ["web"], "Mug") == "channel or finisher changed"


def test_of_class_adapters_that_were_learned_alike_the_oldest_counts(tmp_path: Path) -> None:
    store = ObjectStore(str(tmp_path))
    alike = {"class_noun": "mug", "base_model": "model", "recipe": "{}", "trainer_version": 2}
    others = ({"base_model": "another"}, {"recipe": '{"rank":4}'}, {"trainer_version": 1})
    learned: list[dict[str, Any]] = [*(alike | other for other in others), alike, alike, alike | {"class_noun": "vase"}]
    records = [
        replace(adapter_record(context_of(store, "run"), "", day)[0], **values, created_at=EPOCH + timedelta(day))
        for day, values in enumerate(learned)
    ]
    rows = rows_of("adapters", records)
    for later in ("start", "colour"):  # columns that an older store lacks
        rows = rows.set_column(rows.column_names.index(later), later, pa.nulls(len(rows), pa.string()))
    Tables(store).merge("adapters", rows, "run")
    held, files = class_adapters(store, "model", "{}", 2)
    assert {noun: (one.references, one.start, one.colour) for noun, one in held.items()} == {
        "mug": (("3",), "", ""),
        "vase": (("5",), "", ""),
    }
    assert files == {record.adapter_id: record.file for record in records}


def test_what_the_matrix_asks_for_no_more_has_no_place_and_what_a_person_asked_for_keeps_it() -> None:
    origins = {"kept": "catalog", "left": "catalog", "asked for": "request"}
    mine = [LiveImage(f"id of {slot}", slot, "", origin, "") for slot, origin in origins.items()]
    live = {"a": mine, "b": [LiveImage("id of b", "kept", "", "catalog", "")]}
    known = Known(adapters={}, specs={}, live=live, images=set(), slots={}, refused={})
    assert known.without_place("a", {"kept"}) == ["id of left"]
    assert known.images_of(["a", "b", "c"]) == ["id of kept", "id of left", "id of asked for", "id of b"]
